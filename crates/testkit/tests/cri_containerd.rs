//! Our shim under the CRI of somebody else's daemon: pods of the distribution's containerd and of a current one.
#![cfg(feature = "privileged")]
#![allow(clippy::print_stderr, reason = "a test that cannot test must be heard")]

use plimsoll_testkit::{Node, none_left, peers, until};
use serde_json::json;

const PLIMSOLL: &str = "[RUNTIMES.plimsoll]\nruntime_type = \"io.containerd.plimsoll.v1\"\n";

/// A pod with a container and an exec, over a death of the daemon.
fn life(containerd: &str, runtimes: &str, handler: &str) {
    let mut node = Node::of_containerd(containerd, handler, runtimes);
    node.pull();
    let parent = json!({ "linux": { "cgroup_parent": format!("/{}", node.scratch.cgroup_prefix()) } });
    let pod_file = node.pod_file("pod", parent);
    let pod = node.ok(&["runp", "--runtime", handler, &pod_file]);
    let script = "echo out; echo err >&2; trap 'exit 7' TERM; echo > /tmp/ready; while :; do sleep 0.05; done";
    let id = node.start_container(&pod, &pod_file, "c", script);
    let ready = "until test -e /tmp/ready; do sleep 0.05; done; hostname";
    assert_eq!(node.ok(&["exec", "-s", &id, "sh", "-c", ready]), "pod");
    let shown = node.json(&["inspectp", &pod]);
    let address = shown["status"]["network"]["ip"].as_str().expect("an address");
    let addresses = node.ok(&["exec", "-s", &id, "ip", "-4", "addr", "show", "eth0"]);
    assert!(addresses.contains(&format!(" {address}/")), "{address}: {addresses}");
    let failing = node.crictl(&["exec", "-s", &id, "sh", "-c", "exit 3"]);
    assert!(failing.stderr.contains("exited with 3") || failing.stderr.contains("code 3"), "{failing:?}");
    let logs = node.crictl(&["logs", &id]);
    assert!(logs.stdout.contains("out") && logs.stderr.contains("err"), "{logs:?}");
    let second = node.start_container(&pod, &pod_file, "second", "sleep 0.5; exit 4");
    node.daemon.kill_9();
    node.daemon.start_again();
    until("containerd's CRI", || node.crictl(&["info"]).code == 0);
    assert_eq!(node.status(&id)["state"], "CONTAINER_RUNNING");
    assert_eq!(node.ok(&["exec", "-s", &id, "sh", "-c", "echo again"]), "again");
    assert_eq!(node.wait_exit(&second)["exitCode"], 4, "an end while nobody listened");
    assert!(node.ok(&["stats", &id]).contains(&id[..13]));
    node.ok(&["stop", "--timeout", "20", &id]);
    assert_eq!(node.wait_exit(&id)["exitCode"], 7);
    let broken = node.container_file("broken", "true", json!({ "command": ["/no/such/program"] }));
    let broken = node.ok(&["create", &pod, &broken, &pod_file]);
    let complaint = node.fails(&["start", &broken]);
    assert!(complaint.contains("oci-runtime") && complaint.contains("/no/such/program"), "{complaint}");
    node.ok(&["stopp", &pod]);
    node.ok(&["rmp", &pod]);
    let parent = node.scratch.cgroup_prefix();
    let left = || {
        let all = node.scratch.leftovers().into_iter();
        all.filter(|line| !line.ends_with(&parent) && !line.contains("/containerd -c")).collect::<Vec<_>>()
    };
    assert_eq!(none_left(left), Vec::<String>::new());
}

/// Sandboxes that the shim keeps itself; containerd's own are containers of the pause image.
const SANDBOXER: &str = "[RUNTIMES.sandboxer]\nruntime_type = \"io.containerd.plimsoll.v1\"\nsandboxer = \"shim\"\n\
                         disable_pause_image_pull = true\n";

#[test]
fn pods_of_the_distributions_containerd() {
    life("containerd", PLIMSOLL, "plimsoll");
}

#[test]
fn pods_of_a_current_containerd() {
    match peers::find("containerd-2") {
        Ok(_) => {
            life("containerd-2", PLIMSOLL, "plimsoll");
            life("containerd-2", SANDBOXER, "sandboxer");
        }
        Err(why) => eprintln!("NOT RUN: pods of a current containerd (./dev conformance): {why}"),
    }
}
