//! The verbs of `plim` beside `run`, against our daemon; and the private daemon.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Node, Output, Scratch, bin, run};
use serde_json::Value;
use std::process::Command;

fn plim(node: &Node, args: &[&str]) -> Output {
    run(&mut node.daemon.plim(args))
}

#[track_caller]
fn ok(node: &Node, args: &[&str]) -> String {
    let output = plim(node, args);
    assert_eq!(output.code, 0, "plim {args:?}\n{}{}\n{}", output.stdout, output.stderr, node.daemon.log_tail());
    output.stdout.trim_end().to_owned()
}

#[track_caller]
fn json(node: &Node, args: &[&str]) -> Value {
    serde_json::from_str(&ok(node, args)).expect("JSON")
}

#[test]
fn images_are_pulled_with_progress_listed_and_removed() {
    let node = Node::start();
    let image = node.busybox.reference.as_str();
    let pulled = plim(&node, &["pull", image]);
    assert_eq!(pulled.code, 0, "{pulled:?}\n{}", node.daemon.log_tail());
    let layer = node.busybox.layers[0].trim_start_matches("sha256:");
    assert!(pulled.stderr.contains("2 layers") && pulled.stderr.contains(&layer[..12]), "{}", pulled.stderr);
    assert!(pulled.stderr.contains("done"), "{}", pulled.stderr);
    assert!(pulled.stdout.contains(&node.busybox.manifest), "{}", pulled.stdout);
    let again = plim(&node, &["pull", image]);
    assert!(again.code == 0 && again.stdout == pulled.stdout, "{again:?}");
    let listed = json(&node, &["images", "-o", "json"]);
    assert_eq!(listed["images"][0]["repoTags"][0], image);
    assert!(ok(&node, &["images", "--digests"]).contains(&node.busybox.manifest));
    assert_eq!(json(&node, &["inspect", image])["image"]["id"], node.busybox.config.as_str());
    let unknown = plim(&node, &["rmi", "nosuch:1"]);
    assert!(unknown.code == 1 && unknown.stderr.contains("nosuch:1"), "{unknown:?}");
    ok(&node, &["rmi", image]);
    assert_eq!(ok(&node, &["images", "-q"]), "");
}

#[test]
fn version_info_events_and_origins() {
    let node = Node::start();
    let image = node.busybox.reference.as_str();
    assert!(ok(&node, &["version"]).contains("plimsoll"));
    let info = json(&node, &["info", "-o", "json"]);
    assert_eq!(info["admin"]["root"], node.daemon.root.to_string_lossy().as_ref());
    assert_eq!(info["admin"]["pid"].as_u64(), node.daemon.pid().map(u64::from));
    ok(&node, &["run", "-d", "--name", "web", "-e", "A=b", image, "sleep", "1000"]);
    let inspected = json(&node, &["inspect", "web"]);
    assert_eq!(inspected["status"]["state"], "CONTAINER_RUNNING");
    let leaves = json(&node, &["inspect", "--origin", "-o", "json", "web"]);
    let leaves = leaves.as_array().expect("leaves");
    let without: Vec<_> = leaves.iter().filter(|leaf| leaf["origin"].is_null()).collect();
    assert!(leaves.len() > 50 && without.is_empty(), "{} leaves, without origin: {without:#?}", leaves.len());
    let arg = leaves.iter().find(|leaf| leaf["pointer"] == "/process/args/0").expect("argument");
    assert_eq!(arg["value"], "sleep");
    let text = ok(&node, &["inspect", "--origin", "web"]);
    assert!(text.contains("/process/args/0") && !text.contains(" ?"), "{text}");
    let events = ok(&node, &["events"]);
    for topic in ["image-pulled", "container-created", "container-started"] {
        assert!(events.contains(topic), "no {topic} in {events}");
    }
    ok(&node, &["rm", "-f", "web"]);
}

#[test]
fn explain_marks_the_layer() {
    let node = Node::start();
    let image = node.busybox.reference.as_str();
    let marked = |subject: &str, layer: &str| {
        let text = ok(&node, &["explain", subject]);
        assert!(text.lines().any(|line| line.starts_with(&format!("> {layer}"))), "{layer}: {text}");
    };
    let missing = format!("{}/nothing:1", node.registry.address());
    assert_eq!(plim(&node, &["pull", &missing]).code, 1);
    marked(&missing, "registry");
    let hog = "x=a; while :; do x=$x$x$x; done";
    let killed = plim(&node, &["run", "--name", "hog", "-m", "16m", image, "sh", "-c", hog]);
    assert_eq!(killed.code, 137, "{killed:?}");
    marked("hog", "kernel");
    ok(&node, &["rm", "hog"]);
}

#[test]
fn a_registry_that_wants_credentials_is_told_from_all_other_failures() {
    let node = Node::start();
    let image = node.busybox.reference.as_str();
    node.registry.demand_basic("dTpw");
    let refused = plim(&node, &["pull", image]);
    assert!(refused.code == 1 && refused.stderr.starts_with("plim: registry: 401"), "{refused:?}");
    assert!(ok(&node, &["explain", image]).contains("> registry"));
    assert_eq!(plim(&node, &["pull", "--creds", "u:wrong", image]).code, 1);
    let folder = node.scratch.dir("docker");
    let host = node.registry.address();
    std::fs::write(folder.join("config.json"), format!(r#"{{"auths":{{"{host}":{{"auth":"dTpw"}}}}}}"#))
        .expect("written");
    let stored = run(node.daemon.plim(&["pull", image]).env("DOCKER_CONFIG", &folder));
    assert_eq!(stored.code, 0, "{stored:?}");
    ok(&node, &["rmi", image]);
    ok(&node, &["pull", "--creds", "u:p", image]);
}

#[test]
fn a_failed_run_can_be_explained_after_its_pod_is_gone() {
    let node = Node::start();
    let image = node.busybox.reference.as_str();
    for (args, layer) in
        [(&["-u", "nosuch", image, "true"][..], "spec"), (&[image, "/no/such/program"][..], "oci-runtime")]
    {
        let failed = plim(&node, &[&["run"], args].concat());
        let id = failed.stderr.lines().last().and_then(|line| line.rsplit(' ').next()).expect("a hint").to_owned();
        let text = ok(&node, &["explain", &id]);
        assert!(text.contains(&format!("> {layer}")), "{text}\n{failed:?}");
    }
    assert_eq!(ok(&node, &["pods", "-q"]), "");
}

#[test]
fn a_private_daemon_is_started_and_told_of() {
    let scratch = Scratch::new();
    let folder = scratch.dir("private");
    let plim = |args: &[&str]| {
        let mut command = scratch.command(bin("plim"));
        run(command.args(args).env("PLIM_PRIVATE_DIR", &folder).env_remove("PLIM_ENDPOINT"))
    };
    if std::path::Path::new("/run/plimsoll/plimsolld.sock").exists() {
        panic!("a daemon of this machine listens on the default socket: this test would talk to it");
    }
    let first = plim(&["version"]);
    assert_eq!(first.code, 0, "{first:?}");
    assert!(first.stderr.contains("started a private plimsolld") && first.stderr.contains("kill "), "{first:?}");
    let second = plim(&["info"]);
    assert!(second.code == 0 && second.stderr.is_empty(), "{second:?}");
    let pid = first.stderr.split("(pid ").nth(1).and_then(|rest| rest.split(',').next()).expect("pid").to_owned();
    run(Command::new("kill").arg(&pid)).ok();
}

#[test]
fn endpoints_that_do_not_answer_are_named() {
    let scratch = Scratch::new();
    let absent = scratch.join("no.sock");
    let output = run(Command::new(bin("plim")).arg("--endpoint").arg(&absent).arg("ps"));
    assert!(output.code == 1 && output.stderr.contains("no.sock"), "{output:?}");
    let tcp = run(Command::new(bin("plim")).args(["--endpoint", "tcp://127.0.0.1:1", "ps"]));
    assert!(tcp.code == 1 && tcp.stderr.contains("unix sockets"), "{tcp:?}");
    let as_json = run(Command::new(bin("plim")).arg("--endpoint").arg(&absent).args(["-o", "json", "ps"]));
    let fault: Value = serde_json::from_str(&as_json.stderr).expect("a fault as JSON");
    assert_eq!((&fault["layer"], &fault["kind"]), (&"daemon".into(), &"unavailable".into()));
}
