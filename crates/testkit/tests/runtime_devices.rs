//! Devices of the host under a container's rules.
#![cfg(feature = "privileged")]
#![allow(clippy::print_stderr, reason = "a test that cannot test must be heard")]

use plimsoll_testkit::runtimes::runtimes;
use plimsoll_testkit::{Scratch, bundle, run};
use serde_json::json;
use std::process::Command;

/// A loop device; it goes when it is dropped.
struct Loop(String);

impl Loop {
    /// Of a new ext4 image; none, having said why, where it cannot be made.
    fn of_image(scratch: &Scratch) -> Option<Loop> {
        let image = scratch.file("image", vec![0; 4 << 20]);
        for needed in ["mkfs.ext4", "losetup"] {
            if Command::new(needed).arg("-V").output().is_err() {
                eprintln!(
                    "NOT TESTED: mounts of block devices: {needed} is not here (apt-get install e2fsprogs mount)"
                );
                return None;
            }
        }
        run(Command::new("mkfs.ext4").arg("-q").arg(&image)).ok();
        let output = run(Command::new("losetup").args(["--find", "--show"]).arg(&image)).ok();
        Some(Loop(output.trim().to_owned()))
    }
}

impl Drop for Loop {
    fn drop(&mut self) {
        run(Command::new("losetup").arg("--detach").arg(&self.0)).ok();
    }
}

/// What the config mounts is the caller's wish; what the container opens is what the rules are for.
#[test]
fn a_device_is_mounted_before_it_is_denied() {
    let scratch = Scratch::new();
    let Some(device) = Loop::of_image(&scratch) else { return };
    for runtime in runtimes().into_iter().filter(|runtime| runtime.0 != "crun") {
        let mut made = bundle(&scratch);
        std::fs::create_dir_all(made.path.join("rootfs/image")).expect("a folder");
        made.set("/ociVersion", json!("1.0.2")).set("/root/readonly", json!(false));
        let mut mounts = made.config["mounts"].as_array().expect("mounts").clone();
        mounts.push(json!({ "destination": "/image", "type": "ext4", "source": device.0, "options": ["ro"] }));
        made.set("/mounts", json!(mounts));
        let caps = json!(["CAP_MKNOD"]);
        for set in ["bounding", "effective", "permitted"] {
            made.set(&format!("/process/capabilities/{set}"), caps.clone());
        }
        let number = device.0.trim_start_matches("/dev/loop");
        let script = format!("ls /image; mknod /loop b 7 {number} && head -c 1 /loop 2>&1 | grep -o 'not permitted'");
        made.args(&["/bin/sh", "-c", &script]);
        let mut command = runtime.command(&scratch);
        command.arg("run").arg("--bundle").arg(&made.path).arg(scratch.id(runtime.0));
        assert_eq!(run(&mut command).ok(), "lost+found\nnot permitted\n", "{}", runtime.0);
    }
}
