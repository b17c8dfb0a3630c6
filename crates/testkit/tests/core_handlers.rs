//! RuntimeClass handlers: the same pod under our linked runtime and under each OCI runtime that is here.
#![cfg(feature = "privileged")]
#![allow(clippy::print_stderr, reason = "a test that cannot test must be heard")]

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Node, Scratch, peers, until};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The handlers' tables, and their names. youki and runsc are slow to get: `./dev conformance` has them.
fn handlers(scratch: &Scratch) -> (String, Vec<&'static str>) {
    let optional = ["youki", "runsc"].into_iter().filter(|name| match peers::find(name) {
        Ok(_) => true,
        Err(why) => {
            eprintln!("NOT RUN: a pod of {name}: {why}");
            false
        }
    });
    let names: Vec<&'static str> = ["plimrun", "runc", "crun"].into_iter().chain(optional).collect();
    let table = |name: &&'static str| {
        let program = Runtime(name).as_program(scratch);
        format!("[handlers.{name}]\ntype = \"oci\"\npath = {program:?}\nannotations = [\"org.example.kept\"]\n")
    };
    let tables: String = names.iter().map(table).collect();
    (format!("[handlers.plimsoll]\ntype = \"shim\"\n{tables}"), [vec!["plimsoll"], names].concat())
}

/// The life of a pod with a container and an exec; what crictl says of the container at its end.
fn life(node: &Node, handler: &str) {
    let pod_file =
        node.pod_file(handler, json!({ "annotations": { "org.example.kept": "1", "org.example.not": "2" } }));
    let pod = node.ok(&["runp", "--runtime", handler, &pod_file]);
    let script = "echo out; echo err >&2; trap 'exit 7' TERM; echo > /tmp/ready; while :; do sleep 0.05; done";
    let id = node.start_container(&pod, &pod_file, "c", script);
    // runsc's kernel knows no name that was given to a namespace of the host's.
    let name = if handler == "runsc" { "cat /etc/hostname" } else { "hostname" };
    let ready = format!("until test -e /tmp/ready; do sleep 0.05; done; {name}");
    assert_eq!(node.ok(&["exec", "-s", &id, "sh", "-c", &ready]), handler);
    let failing = node.crictl(&["exec", "-s", &id, "sh", "-c", "exit 3"]);
    assert!(failing.stderr.contains("exited with 3"), "{handler}: {failing:?}");
    let logs = node.crictl(&["logs", &id]);
    assert!(logs.stdout.contains("out") && logs.stderr.contains("err"), "{handler}: {logs:?}");
    let config = node.daemon.state.join("tasks/k8s.io").join(&id).join("config.json");
    let config: Value = serde_json::from_slice(&std::fs::read(config).expect("read")).expect("JSON");
    assert_eq!(config.pointer("/annotations/org.example.not"), None, "{handler}");
    let kept = !["plimsoll", "container"].contains(&handler) && !FOREIGN.contains(&handler);
    assert_eq!(config.pointer("/annotations/org.example.kept").is_some(), kept, "{handler}");
    node.ok(&["stop", "--timeout", "20", &id]);
    let status = node.wait_exit(&id);
    assert_eq!(status["exitCode"], 7, "{handler}: {status}");
    let broken = node.container_file("broken", "true", json!({ "command": ["/no/such/program"] }));
    let broken = node.ok(&["create", &pod, &broken, &pod_file]);
    let complaint = node.fails(&["start", &broken]);
    // Only ours tells the layer.
    let layer = if FOREIGN.contains(&handler) { "" } else { "oci-runtime" };
    assert!(complaint.contains(layer) && complaint.contains("/no/such/program"), "{handler}: {complaint}");
    node.ok(&["stopp", &pod]);
    node.ok(&["rmp", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new(), "{handler}");
}

#[test]
fn a_pod_of_each_handler() {
    let scratch = Scratch::new();
    let (tables, names) = handlers(&scratch);
    let node = Node::start_in(scratch, &tables);
    node.pull();
    let info = node.json(&["info"]);
    let shown: BTreeMap<String, bool> =
        info["runtimeHandlers"].as_array().expect("handlers").iter().map(features).collect();
    for name in &names {
        // Only runsc has none of them.
        assert_eq!(shown.get(*name), Some(&(*name != "runsc" && *name != "youki")), "{shown:?}");
    }
    assert_eq!(shown.get(""), Some(&true), "the default one: {shown:?}");
    names.iter().for_each(|name| life(&node, name));
}

/// Name and recursive read-only mounts.
fn features(handler: &Value) -> (String, bool) {
    let name = handler["name"].as_str().unwrap_or_default().to_owned();
    (name, handler["features"]["recursive_read_only_mounts"].as_bool().unwrap_or(false))
}

const FOREIGN: [&str; 3] = ["runc-v2", "runc-v2-current", "fakevm"];

/// The shims of containerd that are here, with a runc of today: the distribution's, and a current one (`./dev conformance` has it).
fn foreign() -> (String, Vec<&'static str>) {
    let runc = peers::need("runc");
    let distribution = peers::need("containerd").canonicalize().expect("containerd").with_file_name(SHIM);
    let current = peers::find("containerd-2").ok().and_then(|path| path.canonicalize().ok());
    let current = current.map(|path| path.with_file_name(SHIM)).filter(|path| path.is_file());
    if current.is_none() {
        eprintln!("NOT RUN: a pod of a current containerd-shim-runc-v2: it is not here");
    }
    let shims = [(FOREIGN[0], Some(distribution)), (FOREIGN[1], current)];
    let (mut tables, mut names) = (String::new(), Vec::new());
    for (name, shim) in shims.into_iter().filter_map(|(name, shim)| Some((name, shim?))) {
        tables += &format!("[handlers.{name}]\ntype = \"shim\"\npath = {shim:?}\nruntime = {runc:?}\n");
        names.push(name);
    }
    (tables, names)
}

const SHIM: &str = "containerd-shim-runc-v2";

/// The sandbox is a container of its own: under our shim, and under those of containerd, which know no other kind.
#[test]
fn a_pod_whose_sandbox_is_a_container() {
    let (tables, names) = foreign();
    let ours =
        "[handlers.plimsoll]\ntype = \"shim\"\n[handlers.container]\ntype = \"shim\"\nsandboxer = \"container\"\n";
    let node = Node::start_with(&format!("[log]\nlevel = \"debug\"\n{ours}{tables}"));
    node.pull();
    ["container"].into_iter().chain(names).for_each(|name| life(&node, name));
}

/// The shims of virtual machines cannot be had here. This one asks of the daemon what they do: at its start it finds the sandbox
/// in its folder, told from containers by its annotation, and no root filesystem there but a folder to mount one on. What
/// follows is done by ours, which as a foreign one has no Sandbox service and no sink but `binary://`.
#[test]
fn a_shim_of_virtual_machines_finds_what_it_needs() {
    let scratch = Scratch::new();
    let ours = plimsoll_testkit::bin("containerd-shim-plimsoll-v1");
    let script = format!(
        "fail() {{ echo \"$1\" >&2; exit 1; }}\ncase \"$*\" in\n*\" start\")\n\
         grep -q '\"io.kubernetes.cri.container-type\":\"sandbox\"' config.json || fail 'no sandbox'\n\
         grep -q '\"io.kubernetes.cri.sandbox-id\":' config.json || fail 'no id'\n\
         [ -d rootfs ] && [ -z \"$(ls rootfs)\" ] && ! mountpoint -q rootfs || fail 'a root filesystem'\n\
         [ -S \"$TTRPC_ADDRESS\" ] || fail 'nobody takes events'\n;;\nesac\nexec {} \"$@\"",
        ours.display()
    );
    let shim = scratch.script("containerd-shim-fakevm-v2", &script);
    let node = Node::start_in(
        scratch,
        &format!("[handlers.plimsoll]\ntype = \"shim\"\n[handlers.fakevm]\ntype = \"shim\"\npath = {shim:?}\n"),
    );
    node.pull();
    life(&node, "fakevm");
}

/// The daemon of before is not needed by anything of it, nor is its end seen by the containers.
#[test]
fn a_foreign_shim_outlives_the_daemon() {
    let mut node = Node::start_with(&format!("[handlers.plimsoll]\ntype = \"shim\"\n{}", foreign().0));
    node.pull();
    let pod_file = node.pod_file("lasting", json!({}));
    let pod = node.ok(&["runp", "--runtime", FOREIGN[0], &pod_file]);
    let script = "i=0; while [ $i -lt 400 ]; do i=$((i+1)); echo $i; usleep 5000; done; exit 5";
    let id = node.start_container(&pod, &pod_file, "c", script);
    let log = node.status(&id)["logPath"].as_str().expect("a path").to_owned();
    let read = |path: &str| std::fs::read_to_string(path).unwrap_or_default();
    until("some lines", || read(&log).lines().count() > 20);
    node.daemon.kill_9();
    let old = format!("{log}.1");
    std::fs::rename(&log, &old).expect("rotated");
    until("lines in the new log", || read(&log).lines().count() > 20);
    node.daemon.start_again();
    assert_eq!(node.ok(&["exec", "-s", &id, "echo", "there"]), "there");
    node.ok(&["logs", "--reopen", &id]);
    assert_eq!(node.wait_exit(&id)["exitCode"], 5);
    let all = format!("{}{}", read(&old), read(&log));
    let numbers = all.lines().filter_map(|line| line.rsplit(' ').next()?.parse::<u32>().ok());
    assert!(numbers.eq(1..=400), "{all}");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

/// A shim that dies takes nothing with it that stays: a program's container is found by its bundle, a foreign shim's by itself.
#[test]
fn what_a_dead_shim_leaves_is_removed() {
    let scratch = Scratch::new();
    let (tables, _) = handlers(&scratch);
    let node = Node::start_in(scratch, &format!("{tables}{}", foreign().0));
    node.pull();
    for handler in ["runc", FOREIGN[0]] {
        dies(&node, handler);
    }
}

fn dies(node: &Node, handler: &str) {
    let pod_file = node.pod_file("dies", json!({}));
    let pod = node.ok(&["runp", "--runtime", handler, &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    let address = node.json(&["inspectp", &pod])["info"]["shim"]["address"].as_str().expect("an address").to_owned();
    let shim = rustix::process::Pid::from_raw(i32::try_from(node.shim_of(&pod)).expect("pid")).expect("pid");
    rustix::process::kill_process(shim, rustix::process::Signal::KILL).expect("kill the shim");
    until("the container's end", || node.status(&id)["state"] != "CONTAINER_RUNNING");
    assert_eq!(node.status(&id)["state"], "CONTAINER_UNKNOWN", "{handler}: nobody has seen its code");
    node.ok(&["stopp", &pod]);
    node.ok(&["rmp", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
    let socket = std::path::Path::new(address.trim_start_matches("unix://"));
    assert!(socket.is_absolute() && !socket.exists(), "{handler}: {address}");
}
