//! The line between daemon and shim under strain: shims that are slow, starts that a daemon's death cut off, deletes that
//! the shim refuses.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Node, run};
use serde_json::json;
use std::path::Path;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// A process that does not run for as long as this lives.
struct Frozen(i64);

impl Frozen {
    fn new(pid: i64) -> Self {
        run(Command::new("kill").args(["-STOP", &pid.to_string()])).ok();
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        run(Command::new("kill").args(["-CONT", &self.0.to_string()]));
    }
}

fn shim_of(node: &Node, pod: &str) -> i64 {
    node.json(&["inspectp", pod])["info"]["pid"].as_i64().expect("a pid")
}

/// Waits until `done`.
#[track_caller]
fn until(what: &str, done: impl Fn() -> bool) {
    let end = Instant::now() + Duration::from_secs(15);
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// StartContainer of a shim that does not answer is cut off by the daemon's death; then the shim does what it was asked.
fn cut_off_start(node: &mut Node, pod: &str, id: &str) {
    let frozen = Frozen::new(shim_of(node, pod));
    let mut start = node.daemon.crictl(&["start", id]);
    let mut start = start.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("crictl starts");
    std::thread::sleep(Duration::from_millis(700));
    node.daemon.kill_9();
    start.wait().expect("it ends with its daemon");
    drop(frozen);
    let kept = node.daemon.state.join("runtime/k8s.io").join(id);
    until("the shim's create", || kept.join("state.json").exists());
    // The worker that made it reports to the shim.
    std::thread::sleep(Duration::from_millis(300));
}

#[test]
fn a_shim_that_does_not_answer_is_slow_and_not_gone() {
    let mut node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    let pid = node.json(&["inspect", &id])["info"]["pid"].as_i64().expect("a pid");
    let shim = shim_of(&node, &pod);
    node.daemon.kill_9();
    let frozen = Frozen::new(shim);
    node.daemon.start_again();
    assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING");
    // Longer than two quick calls to a shim may take.
    std::thread::sleep(Duration::from_secs(23));
    assert!(Path::new("/proc").join(pid.to_string()).exists(), "a healthy container was killed");
    assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING");
    drop(frozen);
    assert_eq!(node.ok(&["exec", "-s", &id, "echo", "well"]), "well");
    assert_eq!(node.json(&["inspectp", &pod])["status"]["state"], "SANDBOX_READY");
    node.ok(&["stop", "--timeout", "0", &id]);
    assert_eq!(node.status(&id)["exitCode"], 137);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn a_start_that_was_cut_off_is_done_by_the_retry() {
    let mut node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.ok(&["create", &pod, &node.container_file("c", "sleep 1000", json!({})), &pod_file]);
    cut_off_start(&mut node, &pod, &id);
    node.daemon.start_again();
    node.ok(&["start", &id]);
    assert_eq!(node.ok(&["exec", "-s", &id, "echo", "alive"]), "alive");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn a_start_that_was_cut_off_is_stopped_though_the_shim_refuses_to_delete_it() {
    let mut node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.ok(&["create", &pod, &node.container_file("c", "sleep 1000", json!({})), &pod_file]);
    cut_off_start(&mut node, &pod, &id);
    // The runtime cannot remove its folder: Delete fails, whoever asks.
    let busy = node.daemon.state.join("runtime/k8s.io").join(&id).join("busy");
    std::fs::create_dir(&busy).expect("mkdir");
    run(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&busy)).ok();
    node.daemon.start_again();

    let begun = Instant::now();
    node.ok(&["stop", "--timeout", "2", &id]);
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    assert_eq!(node.status(&id)["state"], "CONTAINER_EXITED");
    let refused = node.fails(&["rm", &id]);
    assert!(refused.contains("busy"), "the refusal says why: {refused}");
    run(Command::new("umount").arg(&busy)).ok();
    node.ok(&["rm", &id]);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}
