//! `linux.seccomp`.

use super::{Case, Subject};
use crate::Bundle;
use serde_json::{Value, json};

const SECCOMP: &str = "config-linux.md#seccomp";

#[rustfmt::skip]
pub(super) fn cases() -> Vec<Case> {
    [actions(), arguments(), profiles()].into_iter().flatten().collect()
}

const MKDIR: &str = "mkdir /tmp/x 2>&1 | sed 's/.*: //'; ls -d /tmp/x 2>/dev/null; true";

/// A profile that lets everything pass but what the one rule says.
fn one(bundle: &mut Bundle, rule: Value) {
    super::writable(bundle);
    bundle.set("/linux/seccomp", json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_AARCH64"], "syscalls": [rule] }));
}

fn profile(bundle: &mut Bundle, key: &str, value: Value) {
    one(bundle, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" }));
    bundle.set(&format!("/linux/seccomp/{key}"), value);
}

/// A rule for `kill` with one test of an argument; `kill -0` and others are tried. Signal 0 to init itself always works.
fn test(bundle: &mut Bundle, index: u32, value: u64, two: u64, op: &str) {
    one(
        bundle,
        json!({ "names": ["kill"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28, "args": [{ "index": index, "value": value, "valueTwo": two, "op": op }] }),
    );
}

const KILLS: &str = "for s in 0 10 12; do sleep 5 & kill -$s $! 2>/dev/null && echo -n \"$s yes \" || echo -n \"$s no \"; kill -9 $! 2>/dev/null; done; echo";

#[rustfmt::skip]
fn actions() -> Vec<Case> {
    vec![
        Case::run("errno-by-default-eperm", SECCOMP, |b| one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" })), MKDIR, "Operation not permitted\n"),
        Case::run("errno-of-the-rule", SECCOMP, |b| one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 })), MKDIR, "No space left on device\n"),
        Case::run("kill-process", SECCOMP, |b| { one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL_PROCESS" })); b.args(&["mkdir", "/tmp/x"]); }, "", "exit 159\n"),
        Case::run("kill-thread", SECCOMP, |b| { one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_KILL" })); b.args(&["mkdir", "/tmp/x"]); }, "", "exit 159\n"),
        Case::run("trap", SECCOMP, |b| { one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_TRAP" })); b.args(&["mkdir", "/tmp/x"]); }, "", "exit 159\n"),
        Case::run("trace-without-a-tracer", SECCOMP, |b| one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_TRACE", "errnoRet": 1 })), MKDIR, "Function not implemented\n"),
        Case::run("log-lets-pass", SECCOMP, |b| one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_LOG" })), MKDIR, "/tmp/x\n"),
        Case::refused("action-unknown", SECCOMP, |b| one(b, json!({ "names": ["mkdir"], "action": "SCMP_ACT_NONSENSE" }))),
        Case::refused("default-action-unknown", SECCOMP, |b| profile(b, "defaultAction", json!("SCMP_ACT_NONSENSE"))),
        Case::refused("default-action-absent", SECCOMP, |b| { profile(b, "flags", json!([])); super::remove(b, "/linux/seccomp/defaultAction"); }),
    ]
}

#[rustfmt::skip]
fn arguments() -> Vec<Case> {
    vec![
        Case::run("argument-equal", SECCOMP, |b| test(b, 1, 10, 0, "SCMP_CMP_EQ"), KILLS, "0 yes 10 no 12 yes \n"),
        Case::run("argument-not-equal", SECCOMP, |b| test(b, 1, 9, 0, "SCMP_CMP_NE"), KILLS, "0 no 10 no 12 no \n"),
        Case::run("argument-less", SECCOMP, |b| test(b, 1, 9, 0, "SCMP_CMP_LT"), KILLS, "0 no 10 yes 12 yes \n"),
        Case::run("argument-less-or-equal", SECCOMP, |b| test(b, 1, 8, 0, "SCMP_CMP_LE"), KILLS, "0 no 10 yes 12 yes \n"),
        Case::run("argument-greater", SECCOMP, |b| test(b, 1, 10, 0, "SCMP_CMP_GT"), KILLS, "0 yes 10 yes 12 no \n"),
        Case::run("argument-greater-or-equal", SECCOMP, |b| test(b, 1, 10, 0, "SCMP_CMP_GE"), KILLS, "0 yes 10 no 12 no \n"),
        Case::run("argument-masked", SECCOMP, |b| test(b, 1, 6, 4, "SCMP_CMP_MASKED_EQ"), KILLS, "0 yes 10 yes 12 no \n"),
        Case::refused("argument-operator-unknown", SECCOMP, |b| test(b, 1, 1, 0, "SCMP_CMP_NONSENSE")),
        Case::refused("argument-index-beyond-six", SECCOMP, |b| test(b, 6, 1, 0, "SCMP_CMP_EQ")),
    ]
}

#[rustfmt::skip]
fn profiles() -> Vec<Case> {
    vec![
        Case::run("filter-is-on", SECCOMP, |b| one(b, json!({ "names": ["mkdir"], "action": "SCMP_ACT_ERRNO" })), "grep -E '^Seccomp:' /proc/self/status", "Seccomp:\t2\n"),
        Case::run("no-filter-without-a-profile", SECCOMP, super::as_it_is, "grep -E '^Seccomp:' /proc/self/status", "Seccomp:\t0\n"),
        Case::run("unknown-call-is-ignored", SECCOMP, |b| one(b, json!({ "names": ["no_such_call", "mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" })), MKDIR, "Operation not permitted\n"),
        Case::run("default-errno", SECCOMP, |b| { one(b, json!({ "names": ["x"], "action": "SCMP_ACT_ALLOW" })); deny(b); b.set("/linux/seccomp/defaultErrnoRet", json!(28)); }, MKDIR, "No space left on device\n"),
        Case::run("default-errno-by-default", SECCOMP, |b| { one(b, json!({ "names": ["x"], "action": "SCMP_ACT_ALLOW" })); deny(b); }, MKDIR, "Operation not permitted\n"),
        Case::run("profile-older-than-the-kernel", SECCOMP, |b| { one(b, json!({ "names": ["x"], "action": "SCMP_ACT_ALLOW" })); deny(b); older(b); }, "echo fine", "fine\n"),
        Case::run("without-no-new-privileges", SECCOMP, |b| { one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" })); b.set("/process/noNewPrivileges", json!(false)); }, MKDIR, "Operation not permitted\n"),
        Case::run("without-getcwd", SECCOMP, |b| { one(b, json!({ "names": ["getcwd"], "action": "SCMP_ACT_ERRNO" })); b.set("/process/noNewPrivileges", json!(false)); b.args(&["echo", "ran"]); }, "", "ran\n"),
        Case::run("flag-log", SECCOMP, |b| profile(b, "flags", json!(["SECCOMP_FILTER_FLAG_LOG"])), MKDIR, "Operation not permitted\n"),
        Case::run("flag-spec-allow", SECCOMP, |b| profile(b, "flags", json!(["SECCOMP_FILTER_FLAG_SPEC_ALLOW"])), MKDIR, "Operation not permitted\n"),
        Case::refused("flag-unknown", SECCOMP, |b| profile(b, "flags", json!(["SECCOMP_FILTER_FLAG_NONSENSE"]))),
        Case::refused("filter-longer-than-the-kernel-takes", SECCOMP, |b| { one(b, json!({})); b.set("/linux/seccomp/syscalls", too_many()); }),
        Case::refused("architecture-unknown", SECCOMP, |b| profile(b, "architectures", json!(["SCMP_ARCH_NONSENSE"]))),
        Case::life("exec-has-the-filter", SECCOMP, |s: &mut Subject| { one(&mut s.bundle, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_ERRNO" })); s.sleeping(); s.exec(&[], MKDIR).stdout }, "Operation not permitted\n"),
        Case::refused("notify-without-a-listener", SECCOMP, |b| { b.set("/ociVersion", json!("1.1.0")); one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" })); })
            .argued("The call would hang for ever."),
        Case::refused("listener-that-is-not-there", SECCOMP, |b| { b.set("/ociVersion", json!("1.1.0")); one(b, json!({ "names": ["mkdir", "mkdirat"], "action": "SCMP_ACT_NOTIFY" })); b.set("/linux/seccomp/listenerPath", json!("/no/such/socket")); }),
    ]
}

/// Everything that busybox and the runtimes' last steps need passes; all else is the default's.
fn deny(bundle: &mut Bundle) {
    let mut profile = plimsoll_core::oci_spec::default_profile::<&str>(std::env::consts::ARCH, &[]);
    for rule in profile["syscalls"].as_array_mut().expect("rules") {
        rule["names"].as_array_mut().expect("names").retain(|name| name != "mkdir" && name != "mkdirat");
    }
    profile.as_object_mut().expect("an object").remove("defaultErrnoRet");
    bundle.set("/linux/seccomp", profile);
}

/// Tests that cannot be joined: more instructions than `BPF_MAXINSNS`.
fn too_many() -> Value {
    let rule = |value: u32| json!({ "names": ["kill"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 1, "value": value, "op": "SCMP_CMP_EQ" }] });
    (1000..9000).map(rule).collect()
}

/// A profile of the time before Linux 5.6, loaded while the runtime still has work to do.
fn older(bundle: &mut Bundle) {
    const NEWER: [&str; 8] = [
        "close_range",
        "openat2",
        "faccessat2",
        "clone3",
        "pidfd_open",
        "pidfd_getfd",
        "epoll_pwait2",
        "mount_setattr",
    ];
    for rule in bundle.config["linux"]["seccomp"]["syscalls"].as_array_mut().expect("rules") {
        rule["names"].as_array_mut().expect("names").retain(|name| !NEWER.contains(&name.as_str().unwrap_or_default()));
    }
    bundle.set("/process/noNewPrivileges", json!(false));
}
