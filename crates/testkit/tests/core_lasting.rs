//! What the death of the daemon must not cost: a line of a log, a pod, an exit code.
#![cfg(feature = "privileged")]
#![allow(clippy::print_stderr, reason = "a time is to be seen")]

use plimsoll_testkit::{Node, run, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::{Duration, Instant};

/// Stream, tag and content of each line of the logs together.
fn lines(logs: &[PathBuf]) -> impl Iterator<Item = (String, String, String)> + '_ {
    let read = |path: &PathBuf| {
        let text = std::fs::read_to_string(path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        assert!(text.is_empty() || text.ends_with('\n'), "{}: a torn line", path.display());
        text
    };
    let split = |line: &str| {
        let mut words = line.splitn(4, ' ').skip(1).map(str::to_owned);
        let mut word = || words.next().unwrap_or_else(|| panic!("{line:?}"));
        (word(), word(), word())
    };
    logs.iter().flat_map(move |path| read(path).lines().map(split).collect::<Vec<_>>())
}

/// Renames the log every 50 ms and has it opened anew, by a daemon that may be dead; as kubelet does, which tries again.
fn rotate(log: &Path, reopen: &dyn Fn() -> bool, ended: &AtomicBool) -> Vec<PathBuf> {
    let mut rotated = Vec::new();
    while !ended.load(Ordering::Relaxed) {
        std::thread::sleep(Duration::from_millis(50));
        if log.exists() {
            let name = log.with_extension(format!("log.{}", rotated.len()));
            std::fs::rename(log, &name).expect("rotated");
            rotated.push(name);
        }
        reopen();
    }
    rotated
}

#[test]
fn no_line_is_lost_while_logs_are_rotated_and_the_daemon_is_killed() {
    const LINES: usize = 1_000_000;
    let mut node = Node::start();
    node.pull();
    let pod_file = node.pod_file("logs", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let count = format!("i=0; while [ $i -lt {LINES} ]; do i=$((i+1)); echo $i; done");
    let script = format!("({count}) & ({count}) >&2; wait; head -c 40000 /dev/zero | tr '\\0' x; exit 9");
    let id = node.ok(&["create", &pod, &node.container_file("c", &script, json!({})), &pod_file]);
    node.ok(&["start", &id]);
    let log = PathBuf::from(node.status(&id)["logPath"].as_str().expect("a path"));
    let record = node.daemon.state.join("tasks/k8s.io").join(&id).join("plimsoll-exit.json");
    let ended = AtomicBool::new(false);
    let mut command = node.daemon.crictl(&["logs", "--reopen", &id]);
    command.stdout(Stdio::null()).stderr(Stdio::null());
    let command = std::sync::Mutex::new(command);
    let reopen = || command.lock().expect("one at a time").status().is_ok_and(|status| status.success());
    let mut deaths = 0;
    let mut logs = std::thread::scope(|scope| {
        let rotations = scope.spawn(|| rotate(&log, &reopen, &ended));
        let limit = Instant::now() + Duration::from_secs(120);
        while !record.exists() && Instant::now() < limit {
            std::thread::sleep(Duration::from_millis(500));
            node.daemon.kill_9();
            node.daemon.start_again();
            deaths += 1;
        }
        ended.store(true, Ordering::Relaxed);
        rotations.join().expect("rotations")
    });
    let status = node.wait_exit(&id);
    assert_eq!(status["exitCode"], 9, "{status}");
    logs.extend(log.exists().then_some(log));
    assert!(deaths > 2 && logs.len() > 10, "{deaths} deaths, {} logs", logs.len());
    let mut next = BTreeMap::from([("stdout", 1), ("stderr", 1)]);
    let mut long = Vec::new();
    for (stream, tag, content) in lines(&logs) {
        if content.starts_with('x') || content.is_empty() {
            long.push((tag, content.len()));
            continue;
        }
        let next = next.get_mut(stream.as_str()).unwrap_or_else(|| panic!("{stream}"));
        assert_eq!((tag.as_str(), content.parse()), ("F", Ok(*next)), "{stream}");
        *next += 1;
    }
    assert_eq!(next, BTreeMap::from([("stdout", LINES + 1), ("stderr", LINES + 1)]));
    let piece = |length| ("P".to_owned(), length);
    assert_eq!(long, [piece(16384), piece(16384), piece(7232)]);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

/// Every container's state and exit code by its id.
fn states(node: &Node) -> BTreeMap<String, (String, Value)> {
    let listed = node.json(&["ps", "-a", "-o", "json"]);
    let listed = listed["containers"].as_array().expect("containers").clone();
    listed
        .iter()
        .map(|c| {
            (
                c["id"].as_str().expect("id").to_owned(),
                (c["state"].as_str().expect("state").to_owned(), c["podSandboxId"].clone()),
            )
        })
        .collect()
}

/// Half a minute, which `./dev conformance` has: `PLIMSOLL_PODS` says how many.
#[test]
fn a_restart_finds_every_pod_and_what_ended_meanwhile() {
    let pods: usize = std::env::var("PLIMSOLL_PODS").ok().and_then(|n| n.parse().ok()).unwrap_or(20);
    let mut node = Node::start();
    node.pull();
    let host = json!({ "linux": { "security_context": { "namespace_options": { "network": 2 } } } });
    let mut ids = Vec::new();
    let mut sandboxes = Vec::new();
    for number in 0..pods {
        let pod_file = node.pod_file(&format!("p{number}"), host.clone());
        let pod = node.ok(&["runp", &pod_file]);
        let container = node.container_file("c", "trap 'exit 7' TERM; while :; do sleep 1; done", host.clone());
        let id = node.ok(&["create", &pod, &container, &pod_file]);
        node.ok(&["start", &id]);
        ids.push(id);
        sandboxes.push(pod);
    }
    let before = states(&node);
    assert_eq!(before.len(), pods);
    let ends: Vec<&String> = ids.iter().step_by(10).collect();
    let pids: Vec<String> = ends.iter().map(|id| node.json(&["inspect", id])["info"]["pid"].to_string()).collect();
    node.daemon.kill_9();
    run(std::process::Command::new("kill").arg("-TERM").args(&pids)).ok();
    ends.iter().for_each(|id| node.wait_recorded(id));
    let began = Instant::now();
    node.daemon.start_again();
    let ended = |all: &BTreeMap<String, (String, Value)>| ends.iter().all(|id| all[*id].0 == "CONTAINER_EXITED");
    let mut after = states(&node);
    until("that every end is known", || {
        after = states(&node);
        ended(&after)
    });
    let took = began.elapsed();
    eprintln!("{pods} pods: everything known {} ms after the daemon's start", took.as_millis());
    for id in &ids {
        let gone = ends.contains(&id);
        assert_eq!(after[id].0, if gone { "CONTAINER_EXITED" } else { "CONTAINER_RUNNING" }, "{id}");
        assert_eq!(after[id].1, before[id].1, "{id}");
        if gone {
            let status = node.status(id);
            assert_eq!(status["exitCode"], 7, "{status}");
            let finished = status["finishedAt"].as_str().expect("a time").to_owned();
            assert!(!finished.starts_with("1970"), "{status}");
        }
    }
    assert!(took < Duration::from_secs(1), "{took:?} for {pods} pods");
    for pod in &sandboxes {
        node.ok(&["rmp", "-f", pod]);
    }
    let names: Vec<&str> = sandboxes.iter().map(String::as_str).collect();
    assert_eq!(node.left_behind(&names), Vec::<String>::new());
}
