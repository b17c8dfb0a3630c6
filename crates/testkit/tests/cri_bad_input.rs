//! Wrong requests: each gives an error that names the thing and the layer, leaves nothing behind, and the next correct
//! call works.
#![cfg(feature = "privileged")]

use plimsoll_testkit::fake_registry::busybox_layer;
use plimsoll_testkit::{Node, Scratch, bin, run, says};
use serde_json::json;
use std::process::Command;

#[test]
fn a_wrong_config_is_refused_before_anything_is_made() {
    let scratch = Scratch::new();
    let file = scratch.file("c.toml", "[network]\nconfdir = \"/x\"\n");
    let start = |args: &[&str]| run(Command::new(bin("plimsolld")).arg("--config").arg(&file).args(args));
    let root = scratch.join("root");
    let root = root.to_str().expect("text");
    let output = start(&["--root", root, "--state", root]);
    assert_eq!(output.code, 1);
    says(&output.stderr, &["daemon: ", "c.toml:2", "confdir"]);
    assert!(!scratch.join("root").exists());
    assert_eq!(start(&["config", "check"]).code, 1);
    let default = run(Command::new(bin("plimsolld")).args(["config", "default"])).ok();
    std::fs::write(&file, default).expect("written");
    start(&["config", "check"]).ok();
}

#[test]
fn a_root_and_a_socket_have_one_owner() {
    let node = Node::start();
    let scratch = Scratch::new();
    let again = |root: &std::path::Path, socket: &std::path::Path| {
        run(Command::new(bin("plimsolld"))
            .arg("--config")
            .arg(&node.daemon.config)
            .arg("--root")
            .arg(root)
            .arg("--state")
            .arg(scratch.join("state"))
            .arg("--socket")
            .arg(socket))
    };
    let pid = node.daemon.pid().expect("it runs").to_string();
    let taken = again(&node.daemon.root, &scratch.join("d.sock"));
    assert_eq!(taken.code, 1);
    says(&taken.stderr, &["store: ", "owned by process", &pid]);
    let listening = again(&scratch.join("root"), &node.daemon.socket);
    assert_eq!(listening.code, 1);
    says(&listening.stderr, &["daemon: ", &pid, "listens on"]);
    node.ok(&["version"]);
}

#[test]
fn registries_that_fail_are_named() {
    let node = Node::start();
    let at = node.registry.address();
    says(&node.fails(&["pull", &format!("{at}/Busybox:1")]), &["caller: ", "lower case"]);
    says(&node.fails(&["pull", &format!("{at}/nothing:1")]), &["registry: ", "404", &at.to_string()]);
    says(&node.fails(&["pull", "127.0.0.1:1/busybox:1"]), &["registry: ", "127.0.0.1:1"]);
    node.registry.demand_basic("dTpw");
    says(&node.fails(&["pull", &node.busybox.reference]), &["registry: ", "401", &at.to_string()]);
    says(&node.fails(&["pull", "--creds", "u:wrong", &node.busybox.reference]), &["registry: ", "401"]);
    assert_eq!(node.ok(&["images", "-q"]), "");
    node.ok(&["pull", "--creds", "u:p", &node.busybox.reference]);
}

#[test]
fn damaged_content_is_refused_and_not_kept() {
    let node = Node::start();
    let layer = |digest: &str| format!("busybox/blobs/{digest}");
    let (first, config) = (layer(&node.busybox.layers[0]), layer(&node.busybox.config));
    let mut good = Vec::new();
    node.registry.change(&first, |answer| {
        good.clone_from(&answer.body);
        let middle = answer.body.len() / 2;
        answer.body[middle] ^= 1;
    });
    says(&node.fails(&["pull", &node.busybox.reference]), &["image: ", &node.busybox.layers[0]]);
    node.registry.change(&first, |answer| {
        answer.body.clone_from(&good);
        answer.cut_at = Some(good.len() / 2);
    });
    let cut = node.fails(&["pull", &node.busybox.reference]);
    assert!(cut.contains("registry: ") || cut.contains("image: "), "{cut}");
    node.registry.change(&first, |answer| answer.cut_at = None);
    let mut document = Vec::new();
    node.registry.change(&config, |answer| {
        document.clone_from(&answer.body);
        answer.body[0] ^= 1;
    });
    says(&node.fails(&["pull", &node.busybox.reference]), &["image: ", &node.busybox.config]);
    node.registry.change(&config, |answer| answer.body.clone_from(&document));
    assert_eq!(node.ok(&["images", "-q"]), "");
    node.pull();
}

#[test]
fn a_layer_cannot_leave_its_root() {
    let node = Node::start();
    let outside = node.scratch.join("outside");
    let through = format!("{}", node.scratch.path().display());
    let tars = [
        busybox_layer().file("../../../../../../outside", 0o644, "x"),
        busybox_layer().symlink("door", &through).file("door/outside", 0o644, "x"),
        busybox_layer().symlink("up", "../../../../../../../..").file(&format!("up{through}/outside"), 0o644, "x"),
    ];
    for (number, tar) in tars.into_iter().enumerate() {
        let image = node.registry.image(&format!("bad{number}"), "1", &[tar], json!({}));
        let pulled = node.crictl(&["pull", &image.reference]);
        // A path through a symbolic link may also be kept inside the root; what it may not do is leave it.
        assert!(pulled.code == 0 || pulled.stderr.contains("image: "), "{}", pulled.stderr);
        assert!(!outside.exists(), "case {number} escaped");
    }
}

#[test]
fn pods_that_cannot_be_are_refused() {
    let node = Node::start();
    let pod_file = node.pod_file("p", json!({}));
    says(&node.fails(&["runp", "--runtime", "nothing", &pod_file]), &["caller: ", "nothing"]);
    let sysctl = node.pod_file("s", json!({ "linux": { "sysctls": { "kernel.no_such_thing": "1" } } }));
    node.fails(&["runp", &sysctl]);
    assert_eq!(node.ok(&["pods", "-q"]), "");
    assert_eq!(node.left_behind(&[]), Vec::<String>::new());
    let pod = node.ok(&["runp", &pod_file]);
    // The same request is the same pod, not an error about a reserved name.
    assert_eq!(node.ok(&["runp", &pod_file]), pod);
    node.ok(&["rmp", "-f", &pod]);
    says(&node.fails(&["inspectp", &pod]), &["NotFound"]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn containers_that_cannot_start_say_why() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let create = |name: &str, more: serde_json::Value| {
        let file = node.container_file(name, "sleep 1000", more);
        node.crictl(&["create", &pod, &file, &pod_file])
    };
    let absent = create("noimage", json!({ "image": { "image": "127.0.0.1:1/absent:1" } }));
    assert_ne!(absent.code, 0);
    says(&absent.stderr, &["127.0.0.1:1/absent:1"]);
    for (name, command, complaint) in
        [("missing", "/no/such/program", "/no/such/program"), ("text", "/etc/passwd", "/etc/passwd")]
    {
        let id = create(name, json!({ "command": [command] })).ok().trim().to_owned();
        says(&node.fails(&["start", &id]), &["oci-runtime: ", complaint]);
        let status = node.status(&id);
        assert_eq!(status["state"], "CONTAINER_EXITED", "{status}");
        assert_eq!(status["reason"], "StartError", "{status}");
        node.ok(&["rm", &id]);
    }
    assert_eq!(node.ok(&["ps", "-a", "-q", "--name", "missing"]), "");
    let id = node.start_container(&pod, &pod_file, "good", "sleep 1000");
    says(&node.fails(&["exec", "-s", &id, "/no/such"]), &["/no/such"]);
    node.ok(&["rmp", "-f", &pod]);
    let after = node.crictl(&["create", &pod, &node.container_file("late", "true", json!({})), &pod_file]);
    assert_ne!(after.code, 0);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn memory_limits_are_said_to_be_the_cause() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let limit = json!({ "linux": { "resources": { "memory_limit_in_bytes": 33_554_432 } } });
    let file = node.container_file("hog", "x=a; while true; do x=$x$x; done", limit);
    let id = node.ok(&["create", &pod, &file, &pod_file]);
    node.ok(&["start", &id]);
    let status = node.wait_exit(&id);
    assert_eq!((&status["reason"], &status["exitCode"]), (&json!("OOMKilled"), &json!(137)), "{status}");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}
