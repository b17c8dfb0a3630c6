//! A full disk while an image is unpacked: the fault says so, nothing of the image is kept, what fits still works.
#![cfg(feature = "privileged")]

use plimsoll_testkit::tar::Tar;
use plimsoll_testkit::{Node, Scratch, run};
use serde_json::json;
use std::process::Command;

#[test]
fn a_pull_that_does_not_fit_leaves_nothing() {
    let scratch = Scratch::new();
    let root = scratch.dir("root");
    run(Command::new("mount").args(["-t", "tmpfs", "-o", "size=16m,mode=0700", "tmpfs"]).arg(&root)).ok();
    let node = Node::start_in(scratch, "");
    let zeros = vec![0; 30 << 20];
    let unpacked = node.registry.image("unpacked", "1", &[Tar::new().file("big", 0o644, &zeros)], json!({}));
    let noise: Vec<u8> =
        (0..30_u32 << 18).flat_map(|n| n.wrapping_mul(2_654_435_761).rotate_left(n % 31).to_le_bytes()).collect();
    let packed = node.registry.image("packed", "1", &[Tar::new().file("big", 0o644, &noise)], json!({}));
    let before = node.json(&["imagefsinfo"])["status"]["imageFilesystems"][0]["usedBytes"]["value"].to_string();
    for image in [&unpacked, &packed] {
        let complaint = node.fails(&["pull", &image.reference]);
        assert!(complaint.contains("store: ") && complaint.contains("No space left"), "{complaint}");
    }
    assert_eq!(node.ok(&["images", "-q"]), "");
    let after = node.json(&["imagefsinfo"])["status"]["imageFilesystems"][0]["usedBytes"]["value"].to_string();
    assert_eq!(before, after, "a part of an image is left");
    node.pull();
    let pod_file = node.pod_file("p", json!({}));
    let pod = node.ok(&["runp", &pod_file]);
    let container = node.start_container(&pod, &pod_file, "c", "sleep 1000");
    assert_eq!(node.ok(&["exec", "-s", &container, "cat", "/etc/second"]), "layer two");
    node.ok(&["rmp", "-f", &pod]);
    assert_eq!(node.left_behind(&[&pod]), vec![format!("mount {}", node.daemon.root.display())]);
}
