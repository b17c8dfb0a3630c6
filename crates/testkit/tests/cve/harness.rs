//! A bundle that an attacker made, and what must not happen to the host.

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Bundle, Output, Scratch, bundle, run};
use serde_json::{Value, json};
use std::os::unix::fs::symlink;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// A bundle with a writable root, and a folder outside of it that nothing may touch.
pub(crate) struct Case {
    pub(crate) runtime: Runtime,
    pub(crate) scratch: Scratch,
    pub(crate) made: Bundle,
    pub(crate) victim: PathBuf,
}

impl Case {
    pub(crate) fn new(runtime: Runtime) -> Case {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.set("/ociVersion", json!("1.0.2")).set("/root/readonly", json!(false));
        let victim = scratch.dir("victim");
        std::fs::write(victim.join("file"), "untouched").expect("a file");
        Case { runtime, scratch, made, victim }
    }

    pub(crate) fn sh(&mut self, script: &str) -> &mut Case {
        self.made.args(&["/bin/sh", "-c", script]);
        self
    }

    pub(crate) fn run(&self) -> Output {
        self.runtime.run(&self.scratch, &self.made)
    }

    pub(crate) fn rootfs(&self, path: &str) -> PathBuf {
        self.made.path.join("rootfs").join(path)
    }

    pub(crate) fn replace_by_link(&self, path: &str, target: impl AsRef<Path>) {
        let place = self.rootfs(path);
        match std::fs::symlink_metadata(&place) {
            Ok(found) if found.is_dir() => std::fs::remove_dir_all(&place).expect("removes"),
            Ok(_) => std::fs::remove_file(&place).expect("removes"),
            Err(_) => {}
        }
        symlink(target, place).expect("a symlink");
    }

    pub(crate) fn mounts(&mut self) -> &mut Vec<Value> {
        self.made.config.pointer_mut("/mounts").and_then(Value::as_array_mut).expect("mounts")
    }

    pub(crate) fn without_mounts_below(&mut self, path: &str) {
        self.mounts().retain(|mount| !mount["destination"].as_str().is_some_and(|d| d.starts_with(path)));
        self.made.write();
    }

    pub(crate) fn add_mount(&mut self, mount: Value) {
        self.mounts().push(mount);
        self.made.write();
    }

    #[track_caller]
    pub(crate) fn host_is_untouched(&self) {
        let names: Vec<_> = std::fs::read_dir(&self.victim)
            .expect("the folder")
            .map(|entry| entry.expect("an entry").file_name())
            .collect();
        assert_eq!(names, ["file"], "something was made on the host");
        assert_eq!(std::fs::read_to_string(self.victim.join("file")).expect("the file"), "untouched");
        let mounts = std::fs::read_to_string("/proc/self/mountinfo").expect("mountinfo");
        assert!(!mounts.contains(&*self.victim.to_string_lossy()), "something was mounted on the host");
    }

    /// Starts the container in the background and waits until it wrote "ready".
    pub(crate) fn start(&mut self) -> PathBuf {
        let log = self.scratch.join("log");
        let file = std::fs::File::create(&log).expect("a file");
        let mut command = self.runtime.command(&self.scratch);
        command.arg("run").arg("--bundle").arg(&self.made.path).arg(self.scratch.id("it"));
        command.stdin(std::process::Stdio::null()).stdout(file);
        self.scratch.spawn(&mut command);
        let until = Instant::now() + Duration::from_secs(20);
        while !std::fs::read_to_string(&log).is_ok_and(|text| text.contains("ready\n")) {
            assert!(Instant::now() < until, "the container did not start");
            std::thread::sleep(Duration::from_millis(5));
        }
        log
    }

    pub(crate) fn exec(&self, args: &[&str]) -> Output {
        let mut command = self.runtime.command(&self.scratch);
        command.arg("exec").arg(self.scratch.id("it")).args(args);
        run(&mut command)
    }

    /// Root of the container is the host's user 100000.
    pub(crate) fn in_a_user_namespace(&mut self) {
        let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
        let namespaces = self.made.config.pointer_mut("/linux/namespaces").and_then(Value::as_array_mut);
        namespaces.expect("a list").push(json!({ "type": "user" }));
        self.made.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
        let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
        for folder in [&self.made.path, self.scratch.path()] {
            std::fs::set_permissions(folder, mode.clone()).expect("a mode");
        }
    }
}
