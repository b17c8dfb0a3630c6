//! `linux.namespaces`, what lives in them (names, sysctls, ids), and joining them.

use super::{Case, Subject, as_it_is, without_namespace};
use crate::Bundle;
use serde_json::json;

const NAMESPACES: &str = "config-linux.md#namespaces";
const USERS: &str = "config-linux.md#user-namespace-mappings";
const TIME: &str = "config-linux.md#offset-for-time-namespace";
const SYSCTL: &str = "config-linux.md#sysctl";

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    [kinds(), joins(), names(), users(), sysctls()].into_iter().flatten().collect()
}

/// Whether the container's namespace is the host's: the script compares with what the host says now.
fn against_the_host(bundle: &mut Bundle, kind: &str) {
    let host = std::fs::read_link(format!("/proc/self/ns/{kind}")).expect("a namespace").display().to_string();
    let script = format!("[ \"$(readlink /proc/self/ns/{kind})\" = '{host}' ] && echo host || echo own");
    bundle.args(&["/bin/sh", "-c", &script]);
}

#[rustfmt::skip]
fn kinds() -> Vec<Case> {
    vec![
        Case::run("pid-own", NAMESPACES, |b| against_the_host(b, "pid"), "", "own\n"),
        Case::run("network-own", NAMESPACES, |b| against_the_host(b, "net"), "", "own\n"),
        Case::run("ipc-own", NAMESPACES, |b| against_the_host(b, "ipc"), "", "own\n"),
        Case::run("uts-own", NAMESPACES, |b| against_the_host(b, "uts"), "", "own\n"),
        Case::run("mount-own", NAMESPACES, |b| against_the_host(b, "mnt"), "", "own\n"),
        Case::run("cgroup-own", NAMESPACES, |b| { add(b, "cgroup"); against_the_host(b, "cgroup"); }, "", "own\n"),
        Case::run("time-own", NAMESPACES, |b| { b.set("/ociVersion", json!("1.1.0")); add(b, "time"); against_the_host(b, "time"); }, "", "own\n"),
        Case::run("user-own", NAMESPACES, |b| { mapped(b); against_the_host(b, "user"); }, "", "own\n"),
        Case::run("pid-the-callers", NAMESPACES, |b| { without_namespace(b, "pid"); against_the_host(b, "pid"); }, "", "host\n"),
        Case::run("network-the-callers", NAMESPACES, |b| { without_namespace(b, "network"); against_the_host(b, "net"); }, "", "host\n"),
        Case::run("ipc-the-callers", NAMESPACES, |b| { without_namespace(b, "ipc"); against_the_host(b, "ipc"); }, "", "host\n"),
        Case::run("uts-the-callers", NAMESPACES, |b| { without_namespace(b, "uts"); super::remove(b, "/hostname"); against_the_host(b, "uts"); }, "", "host\n"),
        Case::run("cgroup-the-callers", NAMESPACES, |b| against_the_host(b, "cgroup"), "", "host\n"),
        Case::refused("unknown-kind", NAMESPACES, |b| add(b, "nonsense")),
        Case::refused("given-twice", NAMESPACES, |b| add(b, "ipc")).argued("The specification: a duplicate MUST generate an error. crun takes it."),
        Case::run("network-has-only-a-loopback-that-is-up", NAMESPACES, as_it_is, "ls /sys/class/net; ip -o link show lo | grep -o -E '[<,]UP'", "lo\n,UP\n"),
        Case::run("cgroup-shows-a-root", NAMESPACES, |b| add(b, "cgroup"), "grep -c -v ':/$' /proc/self/cgroup || true", "0\n"),
    ]
}

fn add(bundle: &mut Bundle, kind: &str) {
    super::push(bundle, "/linux/namespaces", json!({ "type": kind }));
}

/// A user namespace whose root is the host's user 100000; what the container reads is made its own.
fn mapped(bundle: &mut Bundle) {
    add(bundle, "user");
    let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 65536 }]);
    bundle.set("/linux/uidMappings", map.clone()).set("/linux/gidMappings", map);
    open_to_all(&bundle.path);
}

/// The way from `/tmp` to the root filesystem can be walked by a user who is not root.
fn open_to_all(bundle: &std::path::Path) {
    let mode = <std::fs::Permissions as std::os::unix::fs::PermissionsExt>::from_mode(0o755);
    for folder in [bundle, bundle.parent().expect("the scratch")] {
        std::fs::set_permissions(folder, mode.clone()).expect("a mode");
    }
}

/// A second container that joins one namespace of a first one.
fn join(subject: &mut Subject, kind: &str, name: &str) -> String {
    subject.sleeping();
    let pid = subject.state()["pid"].as_u64().unwrap_or_default();
    let path = format!("/proc/{pid}/ns/{name}");
    let theirs = std::fs::read_link(&path).map(|link| link.display().to_string()).unwrap_or_default();
    let mut second = Subject::new(subject.runtime);
    second.script(&format!("readlink /proc/self/ns/{name}"));
    without_namespace(&mut second.bundle, kind);
    super::push(&mut second.bundle, "/linux/namespaces", json!({ "type": kind, "path": path }));
    if kind == "uts" {
        super::remove(&mut second.bundle, "/hostname");
    }
    let got = second.run();
    let left = second.leftovers();
    if got.stdout.trim() == theirs && left.is_empty() { "joined".into() } else { format!("{got:?} {left:?}") }
}

#[rustfmt::skip]
fn joins() -> Vec<Case> {
    vec![
        Case::life("join-pid", NAMESPACES, |s| join(s, "pid", "pid"), "joined"),
        Case::life("join-network", NAMESPACES, |s| join(s, "network", "net"), "joined"),
        Case::life("join-ipc", NAMESPACES, |s| join(s, "ipc", "ipc"), "joined"),
        Case::life("join-uts", NAMESPACES, |s| join(s, "uts", "uts"), "joined"),
        Case::life("join-cgroup", NAMESPACES, |s| join(s, "cgroup", "cgroup"), "joined"),
        Case::refused("join-nothing", NAMESPACES, |b| { b.set("/linux/namespaces/1", json!({ "type": "network", "path": "/no/such/namespace" })); }),
        Case::refused("join-of-another-kind", NAMESPACES, |b| { b.set("/linux/namespaces/1", json!({ "type": "network", "path": "/proc/self/ns/ipc" })); }),
        Case::refused("join-a-file", NAMESPACES, |b| { b.set("/linux/namespaces/1", json!({ "type": "network", "path": "/etc/passwd" })); }),
    ]
}

#[rustfmt::skip]
fn names() -> Vec<Case> {
    vec![
        Case::run("hostname", "config.md#hostname", |b| { b.set("/hostname", json!("a-name")); }, "hostname", "a-name\n"),
        Case::run("domainname", "config.md#domainname", |b| { b.set("/ociVersion", json!("1.1.0")).set("/domainname", json!("a.domain")); }, "cat /proc/sys/kernel/domainname", "a.domain\n"),
        Case::refused("hostname-without-a-namespace", "config.md#hostname", |b| without_namespace(b, "uts")),
        Case::run("time-offsets", TIME, |b| { b.set("/ociVersion", json!("1.1.0")).set("/linux/timeOffsets", json!({ "boottime": { "secs": 1_000_000, "nanosecs": 0 } })); add(b, "time"); }, "[ \"$(cut -d. -f1 /proc/uptime)\" -gt 1000000 ] && echo shifted", "shifted\n"),
        Case::refused("time-offsets-without-a-namespace", TIME, |b| { b.set("/ociVersion", json!("1.1.0")).set("/linux/timeOffsets", json!({ "boottime": { "secs": 1, "nanosecs": 0 } })); })
            .argued("Offsets that nobody would see are a mistake. runc says so; crun would shift nothing."),
    ]
}

#[rustfmt::skip]
fn users() -> Vec<Case> {
    vec![
        Case::run("user-map", USERS, mapped, "tr -s ' ' < /proc/self/uid_map; tr -s ' ' < /proc/self/gid_map; id -u", " 0 100000 65536\n 0 100000 65536\n0\n"),
        Case::run("user-map-of-two-ranges", USERS, |b| { mapped(b); let map = json!([{ "containerID": 0, "hostID": 100_000, "size": 10 }, { "containerID": 10, "hostID": 200_000, "size": 100 }]); b.set("/linux/uidMappings", map); }, "tr -s ' ' < /proc/self/uid_map", " 0 100000 10\n 10 200000 100\n"),
        Case::run("user-map-owns-its-mounts", USERS, mapped, "stat -c %u:%g /dev/shm /dev/null; touch /dev/shm/x && echo written", "0:0\n65534:65534\nwritten\n"),
        Case::run("user-map-another-user", USERS, |b| { mapped(b); b.set("/process/user", json!({ "uid": 1000, "gid": 1000, "additionalGids": [5] })); }, "id -u; id -G", "1000\n1000 5\n"),
        Case::refused("user-without-a-map", USERS, |b| add(b, "user")).argued("Without mappings every id is the overflow id and the container cannot become root. crun maps the caller's own."),
        Case::refused("map-without-a-user-namespace", USERS, |b| { b.set("/linux/uidMappings", json!([{ "containerID": 0, "hostID": 100_000, "size": 10 }])); })
            .argued("A map that is silently not applied leaves real root where the caller believes otherwise."),
    ]
}

#[rustfmt::skip]
fn sysctls() -> Vec<Case> {
    vec![
        Case::run("sysctl-network", SYSCTL, |b| { b.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" })); }, "cat /proc/sys/net/ipv4/ip_forward", "1\n"),
        Case::run("sysctl-ipc", SYSCTL, |b| { b.set("/linux/sysctl", json!({ "kernel.msgmax": "16384", "fs.mqueue.msg_max": "20" })); }, "cat /proc/sys/kernel/msgmax /proc/sys/fs/mqueue/msg_max", "16384\n20\n"),
        Case::run("sysctl-with-slashes", SYSCTL, |b| { b.set("/linux/sysctl", json!({ "net/ipv4/ip_forward": "1" })); }, "cat /proc/sys/net/ipv4/ip_forward", "1\n"),
        Case::run("sysctl-of-a-range", SYSCTL, |b| { b.set("/linux/sysctl", json!({ "net.ipv4.ping_group_range": "0 5" })); }, "cat /proc/sys/net/ipv4/ping_group_range | tr '\\t' ' '", "0 5\n"),
        Case::refused("sysctl-of-the-host", SYSCTL, |b| { b.set("/linux/sysctl", json!({ "kernel.core_pattern": "|/bin/evil" })); }),
        Case::refused("sysctl-vm", SYSCTL, |b| { b.set("/linux/sysctl", json!({ "vm.overcommit_memory": "1" })); }),
        Case::refused("sysctl-network-of-the-host", SYSCTL, |b| { without_namespace(b, "network"); b.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "1" })); }),
        Case::refused("sysctl-ipc-of-the-host", SYSCTL, |b| { without_namespace(b, "ipc"); b.set("/linux/sysctl", json!({ "kernel.msgmax": "16384" })); }),
        Case::refused("sysctl-that-does-not-exist", SYSCTL, |b| { b.set("/linux/sysctl", json!({ "net.no_such_setting": "1" })); }),
        Case::refused("sysctl-with-a-bad-value", SYSCTL, |b| { b.set("/linux/sysctl", json!({ "net.ipv4.ip_forward": "many" })); }),
        Case::refused("sysctl-that-climbs", SYSCTL, |b| { b.set("/linux/sysctl", json!({ "net/../kernel/core_pattern": "x" })); }),
    ]
}
