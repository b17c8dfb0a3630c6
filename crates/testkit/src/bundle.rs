//! An OCI bundle with a busybox root filesystem and the config that `runc spec` writes, without the terminal.

use crate::{Scratch, peers};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

/// A bundle folder; `config` is written to `config.json` by [`Bundle::write`].
#[derive(Debug)]
pub struct Bundle {
    pub path: PathBuf,
    pub config: Value,
}

impl Bundle {
    /// The same bundle with another command line, written.
    ///
    /// # Panics
    /// When config.json cannot be written.
    pub fn args(&mut self, args: &[&str]) -> &mut Bundle {
        self.set("/process/args", json!(args))
    }

    /// Replaces (or adds, in an object) the value at a JSON pointer and writes config.json.
    ///
    /// # Panics
    /// When the pointer's parent is no object, or config.json cannot be written.
    pub fn set(&mut self, pointer: &str, value: Value) -> &mut Bundle {
        if let Some(old) = self.config.pointer_mut(pointer) {
            *old = value;
        } else {
            let (parent, key) = pointer.rsplit_once('/').expect("a JSON pointer");
            let object = self.config.pointer_mut(parent).and_then(Value::as_object_mut);
            object.unwrap_or_else(|| panic!("{parent} is no object")).insert(key.to_owned(), value);
        }
        self.write();
        self
    }

    /// Writes `config` to config.json.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn write(&self) {
        let text = serde_json::to_string_pretty(&self.config).expect("a value is always JSON");
        std::fs::write(self.path.join("config.json"), text).expect("write config.json");
    }
}

/// Makes a bundle in a new folder of the scratch. Its cgroup lies below the scratch's prefix.
///
/// # Panics
/// When busybox is not here, or the files cannot be made.
pub fn bundle(scratch: &Scratch) -> Bundle {
    static NEXT: std::sync::atomic::AtomicU32 = std::sync::atomic::AtomicU32::new(0);
    let number = NEXT.fetch_add(1, std::sync::atomic::Ordering::Relaxed);
    let path = scratch.dir(&format!("bundle{number}"));
    busybox_rootfs(&path.join("rootfs"));
    let mut config = spec();
    config["linux"]["cgroupsPath"] = json!(format!("/{}/c{number}", scratch.cgroup_prefix()));
    let bundle = Bundle { path, config };
    bundle.write();
    bundle
}

/// A root filesystem with busybox and its applets as hard links (a symlink would let a masked path hide busybox itself),
/// the usual folders, passwd and group.
///
/// # Panics
/// When busybox is not here, or the files cannot be made.
pub fn busybox_rootfs(root: &Path) {
    for dir in ["bin", "dev", "etc", "proc", "sys", "tmp", "root", "run", "var/tmp", "home/user"] {
        std::fs::create_dir_all(root.join(dir)).expect("make a folder of the rootfs");
    }
    let busybox = root.join("bin/busybox");
    let real = peers::need("busybox");
    std::fs::copy(&real, &busybox).expect("copy busybox");
    let list = Command::new(&real).arg("--list").output().expect("busybox --list");
    for applet in String::from_utf8_lossy(&list.stdout).lines().filter(|a| *a != "busybox") {
        std::fs::hard_link(&busybox, root.join("bin").join(applet)).expect("link an applet");
    }
    let etc = root.join("etc");
    std::fs::write(etc.join("passwd"), "root:x:0:0:root:/root:/bin/sh\nuser:x:1000:1000:user:/home/user:/bin/sh\n")
        .expect("passwd");
    std::fs::write(etc.join("group"), "root:x:0:\nextra:x:2000:user\nuser:x:1000:\n").expect("group");
}

/// What `runc spec` (1.5.2) writes, with `terminal` false and the command `true`.
pub fn spec() -> Value {
    let caps = json!(["CAP_AUDIT_WRITE", "CAP_KILL", "CAP_NET_BIND_SERVICE"]);
    json!({
        "ociVersion": "1.3.0",
        "process": {
            "terminal": false,
            "user": { "uid": 0, "gid": 0 },
            "args": ["true"],
            "env": ["PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin", "TERM=xterm"],
            "cwd": "/",
            "capabilities": { "bounding": caps, "effective": caps, "permitted": caps },
            "rlimits": [{ "type": "RLIMIT_NOFILE", "hard": 1024, "soft": 1024 }],
            "noNewPrivileges": true,
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": "plimrun",
        "mounts": mounts(),
        "linux": {
            "resources": { "devices": [{ "allow": false, "access": "rwm" }] },
            "namespaces": [{ "type": "pid" }, { "type": "network" }, { "type": "ipc" }, { "type": "uts" }, { "type": "mount" }],
            "maskedPaths": ["/proc/acpi", "/proc/asound", "/proc/kcore", "/proc/keys", "/proc/latency_stats", "/proc/timer_list",
                "/proc/timer_stats", "/proc/sched_debug", "/sys/firmware", "/proc/scsi"],
            "readonlyPaths": ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"],
        },
    })
}

fn mounts() -> Value {
    let no = ["nosuid", "noexec", "nodev"];
    json!([
        { "destination": "/proc", "type": "proc", "source": "proc" },
        { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        { "destination": "/dev/pts", "type": "devpts", "source": "devpts",
          "options": ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"] },
        { "destination": "/dev/shm", "type": "tmpfs", "source": "shm", "options": ["nosuid", "noexec", "nodev", "mode=1777", "size=65536k"] },
        { "destination": "/dev/mqueue", "type": "mqueue", "source": "mqueue", "options": no },
        { "destination": "/sys", "type": "sysfs", "source": "sysfs", "options": ["nosuid", "noexec", "nodev", "ro"] },
        { "destination": "/sys/fs/cgroup", "type": "cgroup", "source": "cgroup", "options": ["nosuid", "noexec", "nodev", "relatime", "ro"] },
    ])
}
