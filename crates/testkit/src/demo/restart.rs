//! kill -9 of the daemon while containers write: not a line is lost, and exits that it could not see are still reported.

use super::lines::Lines;
use super::node::DemoNode;
use super::pod::{self, Web};
use serde_json::json;
use std::time::{Duration, Instant};

const LINES: usize = 400;
const COUNT: &str = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo \"line $i\"; usleep 5000; done; exit 7";
const SHORT: &str = "sleep 1; exit 42";

pub(super) fn kill_9(node: &mut DemoNode, web: &Web, lines: &mut Lines) {
    let counter = start(node, web, "counter", COUNT);
    let short = start(node, web, "short", SHORT);
    wait_for(node, "100 lines", || written(node, &counter) > 100);
    let pid = node.daemon.pid().unwrap_or_default();
    let at = written(node, &counter);
    node.daemon.kill_9();
    let killed = Instant::now();
    web.fetch();
    lines.say("kill -9", format!("plimsolld (pid {pid}) killed at line {at}; nginx still answers"));
    // Long enough for the short one to end while nobody but the shim watches.
    std::thread::sleep(Duration::from_millis(900));
    node.daemon.start_again();
    lines.say("restart", format!("plimsolld is back {:.1} s after its death", killed.elapsed().as_secs_f64()));
    web.fetch();
    assert_eq!(state(node, &web.container).0, "CONTAINER_RUNNING", "nginx after the restart");
    for (name, id, code) in [("short", &short, 42), ("counter", &counter, 7)] {
        wait_for(node, name, || state(node, id).0 == "CONTAINER_EXITED");
        assert_eq!(state(node, id).1, code, "{name}'s exit code");
    }
    let text = node.plim(&["logs", &counter]);
    let expected: Vec<String> = (1..=LINES).map(|n| format!("line {n}")).collect();
    let seen: Vec<&str> = text.lines().collect();
    assert_eq!(seen, expected, "the counter's lines");
    lines.say(
        "log",
        format!(
            "line 1 to line {LINES}: none missing, none twice, in order; exit codes 42 (ended meanwhile) and 7 reported"
        ),
    );
    for id in [&short, &counter] {
        node.plim(&["rm", id]);
    }
}

fn start(node: &DemoNode, web: &Web, name: &str, script: &str) -> String {
    if !node.has_crictl {
        return node.plim(&["run", "-d", "--name", name, &node.busybox, "sh", "-c", script]);
    }
    let config = json!({ "image": { "image": node.busybox }, "command": ["sh", "-c", script] });
    pod::container(node, &web.pod, name, &config)
}

/// How many lines the container has written so far.
fn written(node: &DemoNode, id: &str) -> usize {
    node.plim(&["logs", id]).lines().count()
}

/// The CRI state and exit code of a container.
fn state(node: &DemoNode, id: &str) -> (String, i64) {
    let text = node.plim(&["inspect", id]);
    let status: serde_json::Value = serde_json::from_str(&text).unwrap_or_else(|e| panic!("inspect: {e}\n{text}"));
    let status = &status["status"];
    (status["state"].as_str().unwrap_or_default().to_owned(), status["exitCode"].as_i64().unwrap_or(0))
}

fn wait_for(node: &DemoNode, what: &str, mut happened: impl FnMut() -> bool) {
    let until = Instant::now() + Duration::from_secs(15);
    while !happened() {
        assert!(Instant::now() < until, "{what} did not come; plimsolld says:\n{}", node.daemon.log_tail());
        std::thread::sleep(Duration::from_millis(20));
    }
}
