//! The daemon is killed with -9: containers go on, no log line is missing, exit codes are reported by the next daemon.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Node, until};
use serde_json::json;
use std::process::Stdio;
use std::time::Duration;

#[test]
fn containers_outlive_the_daemon() {
    let mut node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let count = "i=0; while [ $i -lt 1000000 ]; do i=$((i+1)); echo $i; usleep 5000; done";
    let writer = node.start_container(&pod, &pod_file, "writer", count);
    let ends = node.start_container(&pod, &pod_file, "ends", "sleep 1; echo last words; exit 42");
    let pid = node.json(&["inspect", &writer])["info"]["pid"].clone();
    let log = node.scratch.join("logs/writer.log");
    let written = || std::fs::read_to_string(&log).unwrap_or_default().lines().count();
    until("the first lines", || written() > 20);
    node.daemon.kill_9();
    node.wait_recorded(&ends);
    node.daemon.start_again();

    let inspected = node.json(&["inspect", &writer]);
    assert_eq!((&inspected["status"]["state"], &inspected["info"]["pid"]), (&json!("CONTAINER_RUNNING"), &pid));
    let exited = node.status(&ends);
    assert_eq!((&exited["state"], &exited["exitCode"]), (&json!("CONTAINER_EXITED"), &json!(42)), "{exited}");
    assert!(exited["finishedAt"].as_str().is_some_and(|at| !at.starts_with("1970")), "{exited}");
    assert_eq!(node.ok(&["logs", &ends]), "last words");
    assert_eq!(node.ok(&["exec", "-s", &writer, "echo", "still here"]), "still here");
    until("more lines", || written() > 100);
    node.ok(&["stop", "--timeout", "0", &writer]);
    let lines: Vec<u64> = node.ok(&["logs", &writer]).lines().map(|line| line.parse().expect("a number")).collect();
    assert!(lines.len() > 100 && lines.iter().zip(1..).all(|(line, number)| *line == number), "a line is missing");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn sigterm_leaves_containers_alone_too() {
    let mut node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let container = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    assert_eq!(node.daemon.stop(), Some(0));
    assert!(!node.daemon.socket.exists(), "the socket is left");
    node.daemon.start_again();
    assert_eq!(node.status(&container)["state"], "CONTAINER_RUNNING");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

/// As kubelet does: whatever was asked when the daemon died is asked again of the next one.
#[test]
fn a_daemon_killed_at_any_moment_leaves_nothing_and_the_retry_works() {
    let mut node = Node::start();
    node.pull();
    let mut pods = Vec::new();
    for round in 0..8_u64 {
        let pod_file = node.pod_file(&format!("p{round}"), json!({}));
        let file = node.container_file("c", "sleep 1000", json!({}));
        let mut first = node.daemon.crictl(&["runp", &pod_file]);
        first.stdout(Stdio::null()).stderr(Stdio::null());
        let mut first = first.spawn().expect("crictl starts");
        std::thread::sleep(Duration::from_millis(20 + round * 15));
        node.daemon.kill_9();
        first.wait().expect("it ends with its daemon");
        node.daemon.start_again();
        let pod = node.ok(&["runp", &pod_file]);
        let listed = node.ok(&["pods", "-q"]);
        assert_eq!(listed, pod, "round {round}");
        let container = node.ok(&["create", &pod, &file, &pod_file]);
        let mut start = node.daemon.crictl(&["start", &container]);
        start.stdout(Stdio::null()).stderr(Stdio::null());
        let mut start = start.spawn().expect("crictl starts");
        std::thread::sleep(Duration::from_millis(15 + round * 12));
        node.daemon.kill_9();
        start.wait().expect("it ends with its daemon");
        node.daemon.start_again();
        if node.status(&container)["state"] == "CONTAINER_CREATED" {
            node.ok(&["start", &container]);
        }
        assert_eq!(node.ok(&["exec", "-s", &container, "echo", "alive"]), "alive", "round {round}");
        node.ok(&["rmp", "-f", &pod]);
        pods.push(pod);
    }
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    assert_eq!(node.left_behind(&pods), Vec::<String>::new());
    node.ok(&["rmi", &node.busybox.reference]);
}
