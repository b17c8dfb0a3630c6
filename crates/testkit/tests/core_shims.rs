//! The line between daemon and shim under strain: shims that are slow, starts that a daemon's death cut off, deletes that
//! the shim refuses, shims that die and whose clean-up fails.
#![cfg(feature = "privileged")]

use plimsoll_testkit::wait::LIMIT;
use plimsoll_testkit::{Frozen, Node, Scratch, bin, leak, run, until};
use rustix::process::{Pid, Signal, kill_process};
use serde_json::json;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// StartContainer of a shim that does not answer is cut off by the daemon's death; then the shim does what it was asked.
fn cut_off_start(node: &mut Node, pod: &str, id: &str) {
    let shim = node.shim_of(pod);
    let before = leak::children(shim).len();
    let frozen = Frozen::new(shim);
    let mut start = node.daemon.crictl(&["start", id]);
    let mut start = start.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("crictl starts");
    node.wait_asked();
    node.daemon.kill_9();
    start.wait().expect("it ends with its daemon");
    drop(frozen);
    let kept = node.daemon.state.join("runtime/k8s.io").join(id);
    until("the shim's create", || kept.join("state.json").exists());
    // The worker that made it reports to the shim, which then knows of its end and has one child more: the container.
    until("the worker's report", || leak::children(shim).len() == before + 1);
}

#[test]
fn a_shim_that_does_not_answer_is_slow_and_not_gone() {
    let mut node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    let pid = node.json(&["inspect", &id])["info"]["pid"].as_i64().expect("a pid");
    let shim = node.shim_of(&pod);
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

fn lives(pid: i64) -> bool {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
    stat.is_ok_and(|stat| !stat.contains(") Z "))
}

fn kill_9(pid: i64) {
    run(Command::new("kill").args(["-9", &pid.to_string()])).ok();
}

/// A start whose shim stands still since the worker has begun to make the container: the container and its crictl.
fn start_without_answer(node: &Node, pod: &str, pod_file: &str, shim: Pid) -> Option<(String, Child)> {
    // So many that the worker is busy for a while after it has begun.
    let host = node.scratch.dir("shared");
    let mounts = (0..500).map(|n| json!({ "container_path": format!("/m/{n}"), "host_path": host }));
    let mounts = json!({ "mounts": mounts.collect::<Vec<_>>() });
    let id = node.ok(&["create", pod, &node.container_file("c", "sleep 1000", mounts), pod_file]);
    let kept = node.daemon.state.join("runtime/k8s.io").join(&id);
    let mut start = node.daemon.crictl(&["start", &id]);
    let mut start = start.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("crictl starts");
    let end = Instant::now() + LIMIT;
    while !kept.exists() {
        assert!(Instant::now() < end, "the worker made nothing");
    }
    // Starting a program for it would take longer than the worker does.
    kill_process(shim, Signal::STOP).expect("SIGSTOP");
    if !kept.join("state.json").exists() {
        return Some((id, start));
    }
    kill_process(shim, Signal::CONT).expect("SIGCONT");
    start.wait().expect("crictl ends");
    node.ok(&["rm", "-f", &id]);
    None
}

/// The worker has made the container, and nobody has heard of it.
#[test]
fn a_shim_that_dies_before_it_answers_create_leaves_nothing() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let shim = node.shim_of(&pod);
    let raw = i32::try_from(shim).ok().and_then(Pid::from_raw).expect("a pid");
    // Whether we run in time is the machine's choice.
    let caught = (0..50).find_map(|_| start_without_answer(&node, &pod, &pod_file, raw));
    let (id, mut start) = caught.expect("the shim was always stopped too late");
    let kept = node.daemon.state.join("runtime/k8s.io").join(&id);
    until("the worker's create", || kept.join("state.json").exists());
    let state: serde_json::Value =
        serde_json::from_slice(&std::fs::read(kept.join("state.json")).expect("readable")).expect("json");
    let init = state["pid"].as_i64().expect("a pid");
    assert!(start.try_wait().expect("crictl").is_none() && lives(init));
    kill_9(shim);
    assert!(!start.wait().expect("crictl ends").success());
    node.ok(&["rm", &id]);
    assert!(!lives(init), "the init of a container that is gone lives on");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

/// A node whose shim does `first` before the first `delete` that it is started for.
fn node_with_delete(first: &str) -> Node {
    let scratch = Scratch::new();
    let (mark, real) = (scratch.join("deleted"), bin("containerd-shim-plimsoll-v1"));
    let script = format!(
        "for last; do :; done\nif [ \"$last\" = delete ] && mkdir {} 2>/dev/null; then {first}; fi\n\
        exec {} \"$@\"",
        mark.display(),
        real.display()
    );
    let shim = scratch.script("shim", &script);
    Node::start_in(scratch, &format!("[handlers.plimsoll]\ntype = \"shim\"\npath = {shim:?}"))
}

/// Runs a container and kills its shim. The pod, the container and its pid.
fn orphaned(node: &Node) -> (String, String, i64) {
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    let pid = node.json(&["inspect", &id])["info"]["pid"].as_i64().expect("a pid");
    kill_9(node.shim_of(&pod));
    (pod, id, pid)
}

#[test]
fn a_clean_up_that_failed_is_done_by_the_removal() {
    let node = node_with_delete("echo not now >&2; exit 1");
    let (pod, id, pid) = orphaned(&node);
    until("the shim's death", || node.status(&id)["state"] == "CONTAINER_UNKNOWN");
    let message = node.status(&id)["message"].to_string();
    assert!(message.contains("not now"), "the failure is told: {message}");
    assert!(lives(pid), "nothing has ended it");
    node.ok(&["rm", &id]);
    assert!(!lives(pid), "a removed container runs");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn a_clean_up_may_take_longer_than_the_start_of_a_shim() {
    let node = node_with_delete("sleep 12");
    let (pod, id, pid) = orphaned(&node);
    until("the shim's death", || node.status(&id)["state"] == "CONTAINER_UNKNOWN");
    assert!(!lives(pid), "the clean-up was cut off: {}", node.status(&id));
    node.ok(&["rm", &id]);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}
