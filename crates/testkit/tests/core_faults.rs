//! The rows of "failure modes mapped to layers" that the daemon owns or passes on, and what must not be left after them.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Node, run, says, until};
use serde_json::{Value, json};

/// The `linux` part of a container with its own PID namespace and more.
fn linux(resources: Value, security: Value) -> Value {
    let mut context = json!({ "namespace_options": { "pid": 1 } });
    for (key, value) in security.as_object().into_iter().flatten() {
        context[key] = value.clone();
    }
    json!({ "linux": { "resources": resources, "security_context": context } })
}

#[test]
fn a_spec_that_cannot_be_made_is_refused_by_create() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let refused = |name: &str, more: Value, parts: &[&str]| {
        let file = node.container_file(name, "true", more);
        says(&node.fails(&["create", &pod, &file, &pod_file]), parts);
        assert_eq!(node.ok(&["ps", "-a", "-q"]), "", "{name} is listed");
    };
    let user = |user: Value| linux(json!({}), user);
    refused("user", user(json!({ "run_as_username": "nobody-here" })), &["spec: ", "nobody-here", "/etc/passwd"]);
    refused("uid", user(json!({ "run_as_user": { "value": 2147483648_u64 } })), &["spec: ", "2147483648"]);
    refused("gid", user(json!({ "run_as_group": { "value": 5 } })), &["caller: ", "run_as_group"]);
    refused("caps", user(json!({ "capabilities": { "add_capabilities": ["NOPE"] } })), &["caller: ", "NOPE"]);
    refused("log", json!({ "log_path": "../../etc/x" }), &["caller: ", "log_path"]);
    refused(
        "image",
        json!({ "image": { "image": "localhost/none:1" } }),
        &["image: ", "localhost/none:1", "not present"],
    );
    refused("cwd", json!({ "working_dir": "here" }), &["spec: ", "here"]);
    refused(
        "mount",
        json!({ "mounts": [{ "container_path": "/a/../b", "host_path": "/tmp" }] }),
        &["caller: ", "/a/../b"],
    );
    node.start_container(&pod, &pod_file, "good", "sleep 100");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn what_the_runtime_refuses_is_refused_by_start() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let missing = node.container_file("missing", "", json!({ "command": ["/no/such/program"] }));
    let id = node.ok(&["create", &pod, &missing, &pod_file]);
    says(&node.fails(&["start", &id]), &["oci-runtime: ", "/no/such/program"]);
    let status = node.status(&id);
    let seen = (&status["state"], &status["exitCode"], &status["reason"]);
    assert_eq!(seen, (&json!("CONTAINER_EXITED"), &json!(128), &json!("StartError")), "{status}");
    says(status["message"].as_str().unwrap_or_default(), &["oci-runtime: ", "/no/such/program"]);
    let fault = &node.json(&["inspect", &id])["info"]["fault"];
    assert_eq!((&fault["layer"], &fault["subject"]["pod"]), (&json!("oci-runtime"), &json!(pod)), "{fault}");
    says(&node.fails(&["start", &id]), &["caller: ", "not created"]);
    node.ok(&["rm", &id]);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn the_oom_killer_is_named_with_its_limit() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let limit = linux(json!({ "memory_limit_in_bytes": 16 << 20, "memory_swap_limit_in_bytes": 16 << 20 }), json!({}));
    let file = node.container_file("eater", "tail /dev/zero; exit $?", limit);
    let id = node.ok(&["create", &pod, &file, &pod_file]);
    node.ok(&["start", &id]);
    let status = node.wait_exit(&id);
    assert_eq!((&status["exitCode"], &status["reason"]), (&json!(137), &json!("OOMKilled")), "{status}");
    says(status["message"].as_str().unwrap_or_default(), &["kernel: ", "16777216"]);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

/// A child that the kernel killed does not make a container a failure that says itself that it succeeded.
#[test]
fn a_container_that_outlives_an_oom_kill_and_succeeds_has_succeeded() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let limit = linux(json!({ "memory_limit_in_bytes": 16 << 20, "memory_swap_limit_in_bytes": 16 << 20 }), json!({}));
    let script = "tail /dev/zero; echo tail ended with $?; exit 0";
    let id = node.ok(&["create", &pod, &node.container_file("parent", script, limit), &pod_file]);
    node.ok(&["start", &id]);
    let status = node.wait_exit(&id);
    assert_eq!(node.ok(&["logs", &id]), "tail ended with 137", "the child was killed");
    assert_eq!((&status["exitCode"], &status["reason"]), (&json!(0), &json!("Completed")), "{status}");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn a_retry_joins_and_a_duplicate_is_told() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    assert_eq!(node.ok(&["runp", &pod_file]), pod, "a retry gets the same pod");
    let other = node.pod_file("p", json!({ "labels": { "now": "different" } }));
    says(&node.fails(&["runp", &other]), &["caller: ", "exists as sandbox", &pod]);
    let file = node.container_file("c", "sleep 100", json!({}));
    let id = node.ok(&["create", &pod, &file, &pod_file]);
    assert_eq!(node.ok(&["create", &pod, &file, &pod_file]), id, "a retry gets the same container");
    node.ok(&["start", &id]);
    says(&node.fails(&["create", &pod, &file, &pod_file]), &["caller: ", "exists as", &id]);
    says(&node.fails(&["runp", "--runtime", "nope", &node.pod_file("q", json!({}))]), &["caller: ", "nope", "unknown"]);
    node.ok(&["stopp", &pod]);
    let late = node.container_file("late", "true", json!({}));
    says(&node.fails(&["create", &pod, &late, &pod_file]), &["caller: ", "not ready"]);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

#[test]
fn a_network_that_fails_leaves_nothing() {
    let node = Node::start();
    let conf = node.scratch.join("cni-conf/10-plim.conflist");
    let good = std::fs::read_to_string(&conf).expect("readable");
    let addresses = || {
        let dir = node.scratch.join("cni-data").join(node.bridge());
        let names = std::fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.file_name());
        names.filter(|name| name.to_string_lossy().starts_with("10.")).count()
    };
    let pod_file = node.pod_file("p", json!({}));
    let refused = |text: &str, parts: &[&str]| {
        std::fs::write(&conf, text).expect("written");
        says(&node.fails(&["runp", &pod_file]), parts);
        assert_eq!(node.ok(&["pods", "-q"]), "");
        assert_eq!(node.left_behind(&[]), Vec::<String>::new());
        assert_eq!(addresses(), 0, "an address leaks");
    };
    refused("{", &["network: ", "10-plim.conflist"]);
    refused(&good.replace("\"type\":\"bridge\"", "\"type\":\"no-such\""), &["network: ", "no-such", "is not in"]);
    refused(&good.replace("\"type\":\"bridge\"", "\"type\":\"../bridge\""), &["network: ", "../bridge"]);
    // The second plugin fails after the first has given an address.
    let mut list: Value = serde_json::from_str(&good).expect("json");
    list["plugins"].as_array_mut().expect("a list").push(json!({ "type": "tuning", "sysctl": { "net.no.such": "1" } }));
    refused(&list.to_string(), &["network: ", "tuning", "ADD for network"]);
    std::fs::remove_file(&conf).expect("removed");
    says(&node.fails(&["runp", &pod_file]), &["network: ", "no CNI configuration"]);
    assert!(node.json(&["info"])["status"]["conditions"].to_string().contains("\"status\":false"), "NetworkReady");
    std::fs::write(&conf, good).expect("written");
    let pod = node.ok(&["runp", &pod_file]);
    assert_eq!(addresses(), 1);
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!((addresses(), node.left_behind(&[&pod])), (0, Vec::new()));
}

#[test]
fn a_shim_that_is_killed_is_noticed_and_cleaned_up_after() {
    let node = Node::start();
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    let shim = node.json(&["inspectp", &pod])["info"]["pid"].as_i64().expect("a pid");
    run(std::process::Command::new("kill").args(["-9", &shim.to_string()])).ok();
    until("that somebody notices", || node.status(&id)["state"] != "CONTAINER_RUNNING");
    let status = node.status(&id);
    assert_eq!((&status["state"], &status["reason"]), (&json!("CONTAINER_UNKNOWN"), &json!("Unknown")), "{status}");
    says(status["message"].as_str().unwrap_or_default(), &["shim: ", "gone"]);
    assert_eq!(node.json(&["inspectp", &pod])["status"]["state"], "SANDBOX_NOTREADY");
    node.ok(&["stop", &id]);
    node.ok(&["rm", &id]);
    node.ok(&["stopp", &pod]);
    node.ok(&["rmp", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

/// The PID 1 of a pod that shares its PID namespace is nobody's child then.
#[test]
fn a_shared_pid_namespace_ends_though_its_shim_was_killed() {
    let node = Node::start();
    node.pull();
    let shared = json!({ "linux": { "security_context": { "namespace_options": { "pid": 0 } } } });
    let pod_file = node.pod_file("p", shared.clone());
    let pod = node.ok(&["runp", &pod_file]);
    let id = node.ok(&["create", &pod, &node.container_file("c", "sleep 1000", shared), &pod_file]);
    node.ok(&["start", &id]);
    let init = node.json(&["inspectp", &pod])["info"]["pid"].as_i64().expect("a pid");
    let stat = std::fs::read_to_string(format!("/proc/{init}/stat")).expect("the pod's init");
    let shim = stat.rsplit_once(") ").and_then(|(_, rest)| rest.split(' ').nth(1)).expect("its parent");
    run(std::process::Command::new("kill").args(["-9", shim])).ok();
    node.ok(&["stopp", &pod]);
    let ended = |pid: i64| {
        let stat = std::fs::read_to_string(format!("/proc/{pid}/stat"));
        stat.map_or(true, |stat| stat.contains(") Z "))
    };
    assert!(ended(init), "the pod's init lives on");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}
