//! Verbs that meet: whatever wins, nothing is left and the next call works.
#![cfg(feature = "privileged")]

use plimsoll_testkit::Node;
use serde_json::json;
use std::time::Duration;

#[test]
fn removal_in_the_middle_of_things_leaves_nothing() {
    let node = Node::start();
    node.pull();
    let mut pods = Vec::new();
    for round in 0..8_u64 {
        let pod_file = node.pod_file(&format!("p{round}"), json!({}));
        let pod = node.ok(&["runp", &pod_file]);
        let file = node.container_file(&format!("c{round}"), "sleep 1000", json!({}));
        std::thread::scope(|scope| {
            scope.spawn(|| {
                let made = node.crictl(&["create", &pod, &file, &pod_file]);
                if made.code == 0 {
                    node.crictl(&["start", made.stdout.trim_end()]);
                }
            });
            scope.spawn(|| {
                std::thread::sleep(Duration::from_millis(round * 15));
                node.ok(&["stopp", &pod]);
                node.ok(&["rmp", &pod]);
            });
        });
        pods.push(pod);
    }
    // What was made after the pod was gone is refused or taken back; nothing may need a second removal.
    assert_eq!(node.ok(&["ps", "-a", "-q"]), "");
    let names: Vec<&str> = pods.iter().map(String::as_str).collect();
    assert_eq!(node.left_behind(&names), Vec::<String>::new());
}

#[test]
fn many_pods_at_once_and_stops_that_meet() {
    let node = Node::start();
    node.pull();
    let pods: Vec<String> = std::thread::scope(|scope| {
        let one = |number: u32| {
            let node = &node;
            move || {
                let name = format!("m{number}");
                let pod_file = node.pod_file(&name, json!({}));
                let pod = node.ok(&["runp", &pod_file]);
                let id = node.start_container(&pod, &pod_file, &name, "trap '' TERM; sleep 1000 & wait; wait");
                assert_eq!(node.ok(&["exec", "-s", &id, "hostname"]), name);
                std::thread::scope(|stops| {
                    stops.spawn(|| node.ok(&["stop", "--timeout", "30", &id]));
                    stops.spawn(|| {
                        std::thread::sleep(Duration::from_millis(200));
                        node.ok(&["stop", "--timeout", "0", &id])
                    });
                });
                assert_eq!(node.status(&id)["exitCode"], 137);
                node.ok(&["rmp", "-f", &pod]);
                pod
            }
        };
        let running: Vec<_> = (0..6).map(|number| scope.spawn(one(number))).collect();
        running.into_iter().map(|thread| thread.join().expect("the pod's life")).collect()
    });
    let names: Vec<&str> = pods.iter().map(String::as_str).collect();
    assert_eq!(node.left_behind(&names), Vec::<String>::new());
}
