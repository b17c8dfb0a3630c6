//! ExecSync at its limits: time, output, children that hold the pipe.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Node, until};
use serde_json::json;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Whether a process `sleep SECONDS` runs in the container.
fn sleeps(node: &Node, id: &str, seconds: u32) -> bool {
    node.ok(&["exec", "-s", id, "sh", "-c", &format!("ps | grep -c '[s]leep {seconds}' || true")]) != "0"
}

#[test]
fn an_exec_is_bounded_in_time_and_output() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");

    let begun = Instant::now();
    let late = node.fails(&["exec", "-s", "--timeout", "1", &id, "sleep", "99"]);
    assert!(late.contains("DeadlineExceeded") && late.contains("did not end within 1 s"), "{late}");
    assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    let left = node.ok(&["exec", "-s", &id, "sh", "-c", "ps | grep -c '[s]leep 99' || true"]);
    assert_eq!(left, "0", "the process was killed");

    let begun = Instant::now();
    assert_eq!(node.ok(&["exec", "-s", &id, "sh", "-c", "sleep 98 & echo done"]), "done");
    assert!(begun.elapsed() < Duration::from_secs(40), "a child that holds the pipe holds nobody up");

    let much = node.crictl(&["exec", "-s", &id, "sh", "-c", "head -c 30000000 /dev/zero | tr '\\0' x"]);
    assert_eq!(much.code, 0, "{}", much.stderr);
    assert!(much.stdout.len() > 16_000_000 && much.stdout.len() < 16 << 20, "{}", much.stdout.len());

    for (command, code) in [("exit 3", "3"), ("kill -9 $$", "137")] {
        let failed = node.fails(&["exec", "-s", &id, "sh", "-c", command]);
        assert!(failed.contains(code), "{failed}");
    }
    let missing = node.fails(&["exec", "-s", &id, "/no/such"]);
    assert!(missing.contains("oci-runtime: ") && missing.contains("/no/such"), "{missing}");
    let bundle = node.daemon.state.join("tasks/k8s.io").join(&id);
    let names = std::fs::read_dir(bundle).expect("the bundle").flatten().map(|entry| entry.file_name());
    let pipes: Vec<_> = names.filter(|name| name.to_string_lossy().starts_with("exec-")).collect();
    assert!(pipes.is_empty(), "{pipes:?}");

    node.ok(&["stop", "--timeout", "0", &id]);
    let dead = node.fails(&["exec", "-s", &id, "true"]);
    assert!(dead.contains("caller: ") && dead.contains("not running"), "{dead}");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

/// What is killed while it writes is dead at once; its output, or a child that goes on, accuses neither kernel nor shim.
#[test]
fn an_exec_that_is_killed_while_it_writes_accuses_nobody() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    for command in [vec!["busybox", "yes"], vec!["sh", "-c", "busybox yes & wait"]] {
        let begun = Instant::now();
        let late = node.fails(&[&["exec", "-s", "--timeout", "1", id.as_str()], command.as_slice()].concat());
        assert!(late.contains("DeadlineExceeded") && late.contains("did not end within 1 s"), "{late}");
        assert!(!late.contains("kernel: ") && !late.contains("shim: "), "{command:?}: {late}");
        assert!(begun.elapsed() < Duration::from_secs(30), "{:?}", begun.elapsed());
    }
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn many_execs_at_once_do_not_mix() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    std::thread::scope(|scope| {
        for number in 0..12 {
            let (node, id) = (&node, &id);
            scope.spawn(move || {
                let script = format!("seq {number}000 {number}999; exit 0");
                let lines = node.ok(&["exec", "-s", id, "sh", "-c", &script]);
                assert_eq!(lines.lines().count(), 1000, "{number}");
            });
        }
    });
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn an_exec_ends_with_its_caller() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");

    let mut killed = node.daemon.crictl(&["exec", "-s", &id, "sleep", "301"]);
    let mut killed = killed.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("crictl starts");
    until("the exec of a caller that will be killed", || sleeps(&node, &id, 301));
    killed.kill().expect("kill -9 crictl");
    killed.wait().expect("crictl ends");
    until("its end", || !sleeps(&node, &id, 301));

    let bundle = node.daemon.state.join("tasks/k8s.io").join(&id);
    let pipes = || {
        let names = std::fs::read_dir(&bundle).expect("the bundle").flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("exec-")).count()
    };
    until("the removal of its pipes", || pipes() == 0);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn the_timeout_of_an_exec_holds_though_the_shim_is_silent() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    let shim = node.json(&["inspectp", &pod])["info"]["pid"].to_string();
    let mut exec = node.daemon.crictl(&["exec", "-s", "--timeout", "3", &id, "sleep", "303"]);
    let mut exec = exec.stdout(Stdio::null()).stderr(Stdio::null()).spawn().expect("crictl starts");
    until("the exec", || sleeps(&node, &id, 303));
    Command::new("kill").args(["-STOP", &shim]).status().expect("kill -STOP");
    let begun = Instant::now();
    let ended = exec.wait();
    let took = begun.elapsed();
    Command::new("kill").args(["-CONT", &shim]).status().expect("kill -CONT");
    assert!(!ended.expect("crictl ends").success());
    assert!(took < Duration::from_secs(30), "{took:?}");
    until("the end of the exec once the shim answers", || !sleeps(&node, &id, 303));
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}
