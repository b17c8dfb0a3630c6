//! The harness itself: what it puts away, and that it sees what is left.
#![cfg(feature = "privileged")]

use plimsoll_testkit::{Registry, Scratch, bundle, images, leak, run, until};
use std::process::Command;

#[test]
fn a_scratch_puts_away_mounts_processes_and_cgroups() {
    let mut scratch = Scratch::new();
    let (path, target) = (scratch.path().to_owned(), scratch.dir("mnt"));
    assert!(Command::new("mount").args(["-t", "tmpfs", "none"]).arg(&target).status().expect("mount").success());
    let cgroup = format!("/sys/fs/cgroup/pids/{}", scratch.cgroup_prefix());
    if std::path::Path::new("/sys/fs/cgroup/pids").is_dir() {
        std::fs::create_dir(&cgroup).expect("cgroup");
    }
    let mut sleep = scratch.command("sleep");
    let pid = scratch.spawn(sleep.arg("1000")).id();
    // A program that has just been executed has no command line for a moment.
    let shown = |found: &[String]| found.iter().any(|l| l.contains("sleep 1000"));
    until("the command line", || shown(&scratch.leftovers()));
    let before = scratch.leftovers();
    assert!(before.iter().any(|l| l.contains("mnt")), "{before:?}");
    drop(scratch);
    assert!(!path.exists() && !std::path::Path::new(&cgroup).exists());
    assert!(!std::path::Path::new(&format!("/proc/{pid}")).exists());
    assert!(leak::mounts_with(|m| m.starts_with(&*path.to_string_lossy())).is_empty());
}

#[test]
fn a_bundle_has_busybox_and_a_config() {
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    made.args(&["echo", "hello"]);
    let text = std::fs::read_to_string(made.path.join("config.json")).expect("config.json");
    assert!(text.contains("hello") && made.path.join("rootfs/bin/sh").is_file());
}

#[test]
fn the_images_reach_a_real_registry() {
    let scratch = Scratch::new();
    let registry = Registry::start(&scratch);
    let reference = images::nginx().push(&registry, "web:1");
    let text = format!("docker://{reference}");
    let shown = run(Command::new("skopeo").args(["inspect", "--tls-verify=false", &text])).ok();
    assert!(shown.contains("SERVED_BY") && shown.contains("web"), "{shown}");
    images::busybox().push(&registry, "busybox:1");
}
