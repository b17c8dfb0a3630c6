//! `linux.cgroupsPath` and `linux.resources` on cgroup v1; v2 is tested in the guest.

use super::{Case, Subject, as_it_is};
use serde_json::{Value, json};

const PATH: &str = "config-linux.md#cgroups-path";
const MEMORY: &str = "config-linux.md#memory";
const CPU: &str = "config-linux.md#cpu";
const PIDS: &str = "config-linux.md#pids";
const DEVICES: &str = "config-linux.md#allowed-device-list";

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    [places(), memory(), processor(), others(), devices(), updates()].into_iter().flatten().collect()
}

/// Starts a container with these resources and reads files of its cgroup.
fn limited(subject: &mut Subject, pointer: &str, resources: Value, files: &[(&str, &str)]) -> String {
    subject.bundle.set(&format!("/linux/resources/{pointer}"), resources);
    subject.sleeping();
    read(subject, files)
}

fn read(subject: &Subject, files: &[(&str, &str)]) -> String {
    files.iter().map(|(controller, file)| subject.cgroup(controller, file)).collect::<Vec<_>>().join(" ")
}

#[rustfmt::skip]
fn places() -> Vec<Case> {
    vec![
        Case::life("path-absolute", PATH, |s| { s.sleeping(); let pid = s.state()["pid"].to_string(); s.cgroup("pids", "cgroup.procs").replace(&pid, "its pid") }, "its pid"),
        Case::life("path-in-every-hierarchy", PATH, |s| {
            s.sleeping();
            let pid = s.state()["pid"].to_string();
            let groups = std::fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
            let path = s.bundle.config["linux"]["cgroupsPath"].as_str().unwrap_or_default().to_owned();
            groups.lines().filter(|line| !line.starts_with("0:") && !line.ends_with(&path)).collect::<Vec<_>>().join(" ")
        }, ""),
        Case::life("path-is-removed-by-delete", PATH, |s| { s.sleeping(); s.of(&["delete", "--force"]).ok(); s.cgroup("pids", "cgroup.procs") }, "entity not found"),
        Case::life("path-made-for-two-levels", PATH, |s| { let path = format!("/{}/a/b", s.scratch.cgroup_prefix()); s.bundle.set("/linux/cgroupsPath", json!(path)); s.sleeping(); s.cgroup("memory", "cgroup.procs").lines().count().to_string() }, "1").argued("What a runtime made it takes away: runc and crun leave the parents that they made."),
        Case::life("path-with-processes-of-others", PATH, |s| {
            s.sleeping();
            let mut second = Subject::new(s.runtime);
            second.script("echo started");
            second.bundle.set("/linux/cgroupsPath", s.bundle.config["linux"]["cgroupsPath"].clone());
            let got = second.run();
            drop(second.leftovers());
            format!("{} {}", if got.code == 0 { "ran" } else { "refused" }, s.status())
        }, "refused running").argued("Two containers in one cgroup would be limited, frozen and killed together. runc refuses it since 1.1; crun shares."),
        Case::life("children-die-with-the-cgroup", "runtime.md#delete", |s| {
            super::without_namespace(&mut s.bundle, "pid");
            s.script("sleep 1000 & sleep 1000 & echo started; wait");
            s.create().ok();
            s.of(&["start"]).ok();
            s.of(&["delete", "--force"]).ok();
            s.scratch.lasting().into_iter().filter(|what| what.starts_with("process")).collect::<Vec<_>>().join(" ")
        }, ""),
    ]
}

#[rustfmt::skip]
fn memory() -> Vec<Case> {
    vec![
        Case::life("memory-limit", MEMORY, |s| limited(s, "memory", json!({ "limit": 33_554_432 }), &[("memory", "memory.limit_in_bytes")]), "33554432"),
        Case::life("memory-swap", MEMORY, |s| limited(s, "memory", json!({ "limit": 33_554_432, "swap": 67_108_864 }), &[("memory", "memory.limit_in_bytes"), ("memory", "memory.memsw.limit_in_bytes")]), "33554432 67108864"),
        Case::life("memory-reservation", MEMORY, |s| limited(s, "memory", json!({ "reservation": 16_777_216 }), &[("memory", "memory.soft_limit_in_bytes")]), "16777216"),
        Case::life("memory-swappiness", MEMORY, |s| limited(s, "memory", json!({ "swappiness": 10 }), &[("memory", "memory.swappiness")]), "10"),
        Case::life("memory-oom-killer-off", MEMORY, |s| limited(s, "memory", json!({ "limit": 33_554_432, "disableOOMKiller": true }), &[("memory", "memory.oom_control")]).lines().next().unwrap_or_default().to_owned(), "oom_kill_disable 1"),
        Case::life("memory-unlimited", MEMORY, |s| limited(s, "memory", json!({ "limit": -1 }), &[("memory", "memory.limit_in_bytes")]), "9223372036854771712"),
        Case::run("memory-is-enforced", MEMORY, |b| { b.set("/linux/resources/memory", json!({ "limit": 20_971_520, "swap": 20_971_520 })); }, "tail /dev/zero; echo $?", "137\n"),
        Case::refused("memory-swap-below-limit", MEMORY, |b| { b.set("/linux/resources/memory", json!({ "limit": 33_554_432, "swap": 16_777_216 })); }),
        Case::refused("memory-limit-a-string", MEMORY, |b| { b.set("/linux/resources/memory", json!({ "limit": "32m" })); }),
    ]
}

#[rustfmt::skip]
fn processor() -> Vec<Case> {
    vec![
        Case::life("cpu-shares", CPU, |s| limited(s, "cpu", json!({ "shares": 512 }), &[("cpu", "cpu.shares")]), "512"),
        Case::life("cpu-quota", CPU, |s| limited(s, "cpu", json!({ "quota": 50_000, "period": 200_000 }), &[("cpu", "cpu.cfs_quota_us"), ("cpu", "cpu.cfs_period_us")]), "50000 200000"),
        Case::life("cpu-quota-unlimited", CPU, |s| limited(s, "cpu", json!({ "quota": -1 }), &[("cpu", "cpu.cfs_quota_us")]), "-1"),
        Case::life("cpu-burst", CPU, |s| { s.bundle.set("/ociVersion", json!("1.1.0")); limited(s, "cpu", json!({ "quota": 50_000, "period": 100_000, "burst": 20_000 }), &[("cpu", "cpu.cfs_burst_us")]) }, "20000"),
        Case::life("cpu-set", CPU, |s| limited(s, "cpu", json!({ "cpus": "0", "mems": "0" }), &[("cpuset", "cpuset.cpus"), ("cpuset", "cpuset.mems")]), "0 0"),
        Case::refused("cpu-set-that-is-not-there", CPU, |b| { b.set("/linux/resources/cpu", json!({ "cpus": "4000" })); }),
        Case::refused("cpu-set-that-is-no-list", CPU, |b| { b.set("/linux/resources/cpu", json!({ "cpus": "one" })); }),
        Case::refused("cpu-period-too-short", CPU, |b| { b.set("/linux/resources/cpu", json!({ "quota": 50_000, "period": 10 })); }),
    ]
}

#[rustfmt::skip]
fn others() -> Vec<Case> {
    vec![
        Case::life("pids-limit", PIDS, |s| limited(s, "pids", json!({ "limit": 17 }), &[("pids", "pids.max")]), "17"),
        Case::life("pids-unlimited", PIDS, |s| limited(s, "pids", json!({ "limit": -1 }), &[("pids", "pids.max")]), "max"),
        Case::run("pids-are-enforced", PIDS, |b| { b.set("/linux/resources/pids", json!({ "limit": 2 })); }, "sleep 1 & sleep 1 & wait; echo all", "exit 2\n"),
        Case::life("block-io-weight-where-there-is-none", "config-linux.md#block-io", |s| limited(s, "blockIO", json!({ "throttleReadBpsDevice": [{ "major": 7, "minor": 0, "rate": 1_048_576 }] }), &[("blkio", "blkio.throttle.read_bps_device")]), "7:0 1048576"),
        Case::refused("unified-on-cgroup-v1", "config-linux.md#unified", |b| { b.set("/linux/resources/unified", json!({ "memory.high": "1000000" })); })
            .argued("A limit that cannot be set must not be left out."),
    ]
}

#[rustfmt::skip]
fn devices() -> Vec<Case> {
    const TRY: &str = "mknod /tmp/d c 1 7 2>/dev/null; mknod /tmp/k c 1 11 2>/dev/null; (: < /tmp/d) 2>/dev/null && echo open; (: < /tmp/k) 2>/dev/null && echo kmsg; true";
    vec![
        Case::run("devices-denied", DEVICES, |b| { super::writable(b); super::capabilities(b, &["CAP_MKNOD"]); }, TRY, "open\n"),
        Case::run("devices-one-allowed", DEVICES, |b| { super::writable(b); super::capabilities(b, &["CAP_MKNOD", "CAP_SYSLOG"]); b.set("/linux/resources/devices", json!([{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "minor": 11, "access": "rwm" }])); }, TRY, "open\nkmsg\n"),
        Case::run("devices-a-whole-major", DEVICES, |b| { super::writable(b); super::capabilities(b, &["CAP_MKNOD", "CAP_SYSLOG"]); b.set("/linux/resources/devices", json!([{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "access": "rwm" }])); }, TRY, "open\nkmsg\n"),
        Case::life("devices-list", DEVICES, |s| { s.sleeping(); s.cgroup("devices", "devices.list").lines().any(|line| line == "a *:* rwm").to_string() }, "false"),
        Case::refused("devices-unknown-type", DEVICES, |b| { b.set("/linux/resources/devices", json!([{ "allow": true, "type": "x", "access": "rwm" }])); }),
        Case::refused("devices-unknown-access", DEVICES, |b| { b.set("/linux/resources/devices", json!([{ "allow": true, "type": "c", "access": "rwx" }])); }).argued("A letter that means nothing is a mistake. runc passes over it; crun leaves the cgroup behind."),
        Case::run("nothing-limited", "config-linux.md#control-groups", |b| super::remove(b, "/linux/resources"), "echo fine", "fine\n"),
        Case::run("cgroups-are-hidden-without-a-mount", "config-linux.md#control-groups", |b| { b.config["mounts"].as_array_mut().expect("mounts").retain(|mount| mount["type"] != "cgroup"); as_it_is(b); b.write(); }, "ls /sys/fs/cgroup | wc -l", "0\n"),
    ]
}

/// `update` with flags, then the files.
fn updated(subject: &mut Subject, flags: &[&str], files: &[(&str, &str)]) -> String {
    subject.bundle.set("/linux/resources/memory", json!({ "limit": 33_554_432, "swap": 33_554_432 }));
    subject.sleeping();
    let got = subject.of(&[&["update"], flags].concat());
    if got.code == 0 { read(subject, files) } else { format!("exit {}: {}", got.code, got.stderr) }
}

#[rustfmt::skip]
fn updates() -> Vec<Case> {
    vec![
        Case::life("update-memory", "runc(8) update", |s| updated(s, &["--memory", "67108864", "--memory-swap", "67108864"], &[("memory", "memory.limit_in_bytes"), ("memory", "memory.memsw.limit_in_bytes")]), "67108864 67108864"),
        Case::life("update-memory-down", "runc(8) update", |s| updated(s, &["--memory", "16777216", "--memory-swap", "16777216"], &[("memory", "memory.limit_in_bytes")]), "16777216"),
        Case::life("update-pids", "runc(8) update", |s| updated(s, &["--pids-limit", "23"], &[("pids", "pids.max")]), "23"),
        Case::life("update-cpu", "runc(8) update", |s| updated(s, &["--cpu-share", "256", "--cpu-quota", "30000", "--cpu-period", "150000"], &[("cpu", "cpu.shares"), ("cpu", "cpu.cfs_quota_us"), ("cpu", "cpu.cfs_period_us")]), "256 30000 150000"),
        Case::life("update-cpu-set", "runc(8) update", |s| updated(s, &["--cpuset-cpus", "0"], &[("cpuset", "cpuset.cpus")]), "0"),
        Case::life("update-from-a-file", "runc(8) update", |s| {
            let file = s.scratch.file("resources.json", json!({ "pids": { "limit": 29 } }).to_string()).to_string_lossy().into_owned();
            updated(s, &["--resources", &file], &[("pids", "pids.max")])
        }, "29"),
        Case::life("update-of-nothing-changes-nothing", "runc(8) update", |s| updated(s, &["--pids-limit", "23"], &[("memory", "memory.limit_in_bytes")]), "33554432"),
        Case::life("update-of-an-unknown-container", "runc(8) update", |s| s.verb(&["update", "--pids-limit", "5", "nobody"]).code.to_string(), "1"),
    ]
}
