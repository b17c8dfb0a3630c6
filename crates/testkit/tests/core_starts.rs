//! Starts that go wrong between daemon and shim: unanswered, cut off in a slow hook, made behind the daemon's back.
#![cfg(feature = "privileged")]

use plimsoll_core::shim::{CreateTask, Shim, Stdio as TaskStdio, TaskOptions};
use plimsoll_spec::mount::MountDescription;
use plimsoll_testkit::{Frozen, Node, peers, until};
use serde_json::{Value, json};
use std::path::PathBuf;
use std::process::Stdio;

/// Gives a container that is created a poststart hook: the file that is returned appears once the program runs, and Start
/// is not over for `seconds` after that.
fn slow_start(node: &Node, id: &str, seconds: u32) -> PathBuf {
    let mark = node.scratch.join(format!("started-{id}"));
    let path = node.daemon.state.join("tasks/k8s.io").join(id).join("config.json");
    let mut spec: Value = serde_json::from_slice(&std::fs::read(&path).expect("the bundle")).expect("json");
    let script = format!("touch {}; exec sleep {seconds}", mark.display());
    let hook = json!({ "path": "/bin/sh", "args": ["sh", "-c", script], "env": ["PATH=/usr/bin:/bin"] });
    spec["hooks"] = json!({ "poststart": [hook] });
    std::fs::write(&path, spec.to_string()).expect("written");
    mark
}

/// Whether a process of this command line is on the host.
fn runs(command: &[&str]) -> bool {
    let wanted: Vec<u8> = command.iter().flat_map(|word| [word.as_bytes(), b"\0"].concat()).collect();
    let processes = std::fs::read_dir("/proc").expect("/proc").flatten();
    processes.into_iter().any(|entry| std::fs::read(entry.path().join("cmdline")).is_ok_and(|line| line == wanted))
}

/// A number of seconds that no other test sleeps.
fn own_number(of: u32) -> String {
    (100_000 + std::process::id() % 100_000 * 10 + of).to_string()
}

/// What failed is told at once, as ended only when it has.
#[test]
fn a_start_that_is_not_answered_is_undone_before_it_is_recorded_as_ended() {
    let node = Node::start_with("shim_timeout = 3");
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let number = own_number(1);
    let program = ["sleep", number.as_str()];
    let file = node.container_file("c", "", json!({ "command": program }));
    let id = node.ok(&["create", &pod, &file, &pod_file]);
    let mark = slow_start(&node, &id, 2);
    let (frozen, complaint) = std::thread::scope(|scope| {
        let start = scope.spawn(|| node.fails(&["start", &id]));
        until("the start of the program", || mark.exists());
        let frozen = Frozen::new(node.shim_of(&pod));
        (frozen, start.join().expect("a start that fails"))
    });
    assert!(complaint.contains("shim: ") && complaint.contains("did not answer Start within 3 s"), "{complaint}");
    assert!(runs(&program), "the program runs whatever the shim says");
    assert_eq!(node.status(&id)["state"], "CONTAINER_CREATED", "what runs has not ended");
    let fault = &node.json(&["inspect", &id])["info"]["fault"];
    assert_eq!(fault["layer"], "shim", "{fault}");
    let stopped = node.crictl(&["--timeout", "3s", "stop", "--timeout", "0", &id]);
    assert!(stopped.code != 0 && runs(&program), "a stop that does not stop it does not succeed: {}", stopped.stdout);
    drop(frozen);
    let status = node.wait_exit(&id);
    assert_eq!((&status["reason"], &status["exitCode"]), (&json!("StartError"), &json!(128)), "{status}");
    assert!(status["message"].as_str().is_some_and(|text| text.contains("did not answer Start")), "{status}");
    assert!(!runs(&program), "it is recorded as ended and runs");
    let again = node.fails(&["start", &id]);
    assert!(again.contains("not created"), "{again}");
    node.ok(&["stop", &id]);
    node.ok(&["rm", &id]);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn a_create_that_is_not_answered_is_undone_by_the_next_daemon_too() {
    let mut node = Node::start_with("shim_timeout = 2");
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.ok(&["create", &pod, &node.container_file("c", "sleep 1000", json!({})), &pod_file]);
    let frozen = Frozen::new(node.shim_of(&pod));
    let complaint = node.fails(&["start", &id]);
    assert!(complaint.contains("did not answer Create within 2 s"), "{complaint}");
    assert_eq!(node.status(&id)["state"], "CONTAINER_CREATED");
    node.daemon.kill_9();
    node.daemon.start_again();
    until("the daemon's first answer", || node.crictl(&["version"]).code == 0);
    assert_eq!(node.status(&id)["state"], "CONTAINER_CREATED");
    drop(frozen);
    assert_eq!(node.wait_exit(&id)["reason"], "StartError");
    let kept = node.daemon.state.join("runtime/k8s.io").join(&id);
    assert!(!kept.exists(), "the container that the shim made late is left");
    node.ok(&["rm", &id]);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn a_slow_hook_is_not_killed_because_the_daemon_was_restarted() {
    let mut node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.ok(&["create", &pod, &node.container_file("c", "sleep 1000", json!({})), &pod_file]);
    let mark = slow_start(&node, &id, 14);
    let mut start = node.daemon.crictl(&["start", &id]);
    let mut start = start.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("crictl starts");
    until("the start of the program", || mark.exists());
    node.daemon.kill_9();
    start.wait().expect("it ends with its daemon");
    node.daemon.start_again();
    // crictl does not wait for the recovery as long as the daemon does.
    until("the daemon's first answer", || node.crictl(&["version"]).code == 0);
    // The retry waits for what is under way.
    node.ok(&["start", &id]);
    assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING");
    assert_eq!(node.ok(&["exec", "-s", &id, "echo", "alive"]), "alive");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

/// Has the shim run a container of which the daemon thinks that it was never started.
fn run_behind_its_back(node: &Node, pod: &str, id: &str) {
    let rootfs = node.scratch.dir("rootfs");
    std::fs::create_dir(rootfs.join("bin")).expect("mkdir");
    std::fs::copy(peers::need("busybox"), rootfs.join("bin/sleep")).expect("copied");
    let mount = MountDescription {
        kind: "bind".into(),
        source: rootfs.to_string_lossy().into_owned(),
        target: String::new(),
        options: vec!["rbind".into(), "rw".into()],
    };
    let root = node.daemon.state.join("runtime/k8s.io").to_string_lossy().into_owned();
    let sockets = std::fs::read_dir(node.daemon.state.join("s")).expect("sockets").flatten();
    let socket = sockets.into_iter().map(|entry| entry.path()).next().unwrap_or_else(|| panic!("a shim of {pod}"));
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build().expect("a runtime");
    runtime.block_on(async {
        let shim = Shim::connect(&socket.to_string_lossy()).await.expect("connected");
        let request = CreateTask {
            id,
            bundle: &node.daemon.state.join("tasks/k8s.io").join(id),
            rootfs: &[mount],
            stdio: &TaskStdio::default(),
            options: &TaskOptions { root, ..TaskOptions::default() },
        };
        shim.create_task(request).await.expect("created");
        shim.start(id, "").await.expect("started");
    });
}

#[test]
fn removal_ends_what_runs_though_its_record_says_otherwise() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let number = own_number(2);
    let program = ["sleep", number.as_str()];
    let file = node.container_file("c", "", json!({ "command": program }));
    let id = node.ok(&["create", &pod, &file, &pod_file]);
    run_behind_its_back(&node, &pod, &id);
    until("the program", || runs(&program));
    node.ok(&["stop", &id]);
    assert_eq!(node.status(&id)["state"], "CONTAINER_EXITED");
    node.ok(&["rm", &id]);
    assert!(!runs(&program), "it was removed and runs");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}
