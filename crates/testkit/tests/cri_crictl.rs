//! The real crictl through a pod's whole life: every command that the first issue promises.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Node, until};
use serde_json::json;

#[test]
fn every_command_of_a_pods_life() {
    let node = Node::start();
    assert!(node.ok(&["version"]).contains("plimsoll"));
    let info = node.json(&["info"]);
    for condition in info["status"]["conditions"].as_array().expect("conditions") {
        assert_eq!(condition["status"], true, "{condition}");
    }
    images(&node);

    let pod_file = node.pod_file("web", json!({ "labels": { "app": "web" } }));
    let pod = node.ok(&["runp", &pod_file]);
    pods(&node, &pod);
    let script = "trap '' TERM; echo out; echo err >&2; echo $FROM_IMAGE > /tmp/env; hostname; sleep 1000";
    let file = node.container_file("main", script, json!({ "labels": { "tier": "one" } }));
    let container = node.ok(&["create", &pod, &file, &pod_file]);
    assert_eq!(node.status(&container)["state"], "CONTAINER_CREATED");
    assert_eq!(node.ok(&["start", &container]), container);
    running(&node, &pod, &container);
    ended(&node, &pod, &container);
    node.ok(&["rmi", &node.busybox.reference]);
    assert_eq!(node.json(&["images", "-o", "json"])["images"], json!([]));
    assert_eq!(node.left_behind(&[&pod]), Vec::<String>::new());
}

fn images(node: &Node) {
    let pulled = node.ok(&["pull", &node.busybox.reference]);
    assert!(pulled.contains(&node.busybox.config), "{pulled}");
    node.ok(&["pull", &node.busybox.reference]);
    let listed = node.json(&["images", "-o", "json"]);
    let image = &listed["images"][0];
    assert_eq!(image["id"], node.busybox.config.as_str());
    assert_eq!(image["repoTags"], json!([node.busybox.reference]));
    let digest = format!("@{}", node.busybox.manifest);
    assert!(image["repoDigests"][0].as_str().is_some_and(|name| name.ends_with(&digest)), "{image}");
    let inspected = node.json(&["inspecti", &node.busybox.reference]);
    assert_eq!(inspected["status"]["id"], node.busybox.config.as_str());
    assert_eq!(inspected["info"]["imageSpec"]["config"]["Cmd"], json!(["sh"]));
    let usage = node.json(&["imagefsinfo"]);
    let used = usage["status"]["imageFilesystems"][0]["usedBytes"]["value"].as_str().expect("bytes");
    assert!(used.parse::<u64>().expect("a number") > 1_000_000, "{used}");
}

fn pods(node: &Node, pod: &str) {
    let listed = node.json(&["pods", "-o", "json"]);
    assert_eq!((&listed["items"][0]["id"], &listed["items"][0]["state"]), (&json!(pod), &json!("SANDBOX_READY")));
    let by = |args: &[&str]| {
        let all: Vec<&str> = ["pods", "-q"].iter().chain(args).copied().collect();
        node.ok(&all)
    };
    assert_eq!(by(&["--id", &pod[..10]]).lines().count(), 1);
    assert_eq!((by(&["--label", "app=web"]).is_empty(), by(&["--label", "app=x"]).is_empty()), (false, true));
    assert_eq!((by(&["--state", "Ready"]).is_empty(), by(&["--state", "NotReady"]).is_empty()), (false, true));
    let inspected = node.json(&["inspectp", pod]);
    assert!(inspected["status"]["network"]["ip"].as_str().is_some_and(|ip| ip.starts_with("10.")), "{inspected}");
}

fn running(node: &Node, pod: &str, container: &str) {
    assert!(node.ok(&["ps"]).contains(&container[..12]));
    assert_eq!(node.ok(&["ps", "-q", "--pod", pod, "--label", "tier=one"]), container);
    assert_eq!(node.ok(&["ps", "-q", "--label", "tier=two"]), "");
    let inspected = node.json(&["inspect", &container[..13]]);
    assert_eq!(inspected["status"]["state"], "CONTAINER_RUNNING");
    let (spec, provenance) = (&inspected["info"]["runtimeSpec"], &inspected["info"]["provenance"]);
    assert_eq!(spec["process"]["args"][0], "sh");
    assert!(provenance.as_object().is_some_and(|map| !map.is_empty()), "{inspected}");
    assert!(inspected["info"]["pid"].as_i64().is_some_and(|pid| pid > 1), "{inspected}");
    let logs = || node.crictl(&["logs", container]);
    until("its last line", || logs().stdout.ends_with("web\n"));
    let logs = logs();
    assert_eq!((logs.stdout.as_str(), logs.stderr.as_str()), ("out\nweb\n", "err\n"));
    assert_eq!(node.ok(&["exec", "-s", container, "cat", "/tmp/env", "/etc/second"]), "yes\nlayer two");
    let failed = node.crictl(&["exec", "-s", container, "sh", "-c", "echo oops >&2; exit 7"]);
    assert!(failed.code != 0 && failed.stderr.contains('7'), "{failed:?}");
    let stats = node.json(&["stats", "-o", "json", "--id", container]);
    let memory = stats["stats"][0]["memory"]["workingSetBytes"]["value"].as_str().expect("bytes");
    assert!(memory.parse::<u64>().expect("a number") > 0, "{stats}");
}

fn ended(node: &Node, pod: &str, container: &str) {
    assert_eq!(node.ok(&["stop", "--timeout", "1", container]), container);
    let status = node.status(container);
    assert_eq!((&status["state"], &status["exitCode"]), (&json!("CONTAINER_EXITED"), &json!(137)), "{status}");
    node.ok(&["stop", container]);
    node.ok(&["rm", container]);
    assert_eq!(node.ok(&["ps", "-a", "-q"]), "");
    node.ok(&["stopp", pod]);
    assert_eq!(node.json(&["inspectp", pod])["status"]["state"], "SANDBOX_NOTREADY");
    node.ok(&["stopp", pod]);
    node.ok(&["rmp", pod]);
    assert_eq!(node.ok(&["pods", "-q"]), "");
}

#[test]
fn many_pods_at_once() {
    let node = Node::start();
    node.pull();
    let pods: Vec<String> = std::thread::scope(|scope| {
        let one = |number: u32| {
            let node = &node;
            move || {
                let pod_file = node.pod_file(&format!("p{number}"), json!({}));
                let pod = node.ok(&["runp", &pod_file]);
                let container = node.start_container(&pod, &pod_file, "c", "sleep 1000");
                assert_eq!(node.ok(&["exec", "-s", &container, "hostname"]), format!("p{number}"));
                pod
            }
        };
        let running: Vec<_> = (0..8).map(|number| scope.spawn(one(number))).collect();
        running.into_iter().map(|thread| thread.join().expect("a pod")).collect()
    });
    assert_eq!(node.ok(&["ps", "-q"]).lines().count(), 8);
    let addresses: std::collections::BTreeSet<String> =
        pods.iter().map(|pod| node.json(&["inspectp", pod])["status"]["network"]["ip"].to_string()).collect();
    assert_eq!(addresses.len(), 8, "{addresses:?}");
    node.ok(&["rmp", "-fa"]);
    let pods: Vec<&str> = pods.iter().map(String::as_str).collect();
    assert_eq!(node.left_behind(&pods), Vec::<String>::new());
}
