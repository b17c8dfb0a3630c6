//! ExecSync at its limits: time, output, children that hold the pipe.
#![cfg(feature = "privileged")]

use plimsoll_testkit::Node;
use serde_json::json;
use std::time::{Duration, Instant};

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
    assert!(begun.elapsed() < Duration::from_secs(5), "{:?}", begun.elapsed());
    let left = node.ok(&["exec", "-s", &id, "sh", "-c", "ps | grep -c '[s]leep 99' || true"]);
    assert_eq!(left, "0", "the process was killed");

    let begun = Instant::now();
    assert_eq!(node.ok(&["exec", "-s", &id, "sh", "-c", "sleep 98 & echo done"]), "done");
    assert!(begun.elapsed() < Duration::from_secs(10), "a child that holds the pipe holds nobody up");

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
