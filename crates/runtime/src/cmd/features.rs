//! `plimrun features`: what this runtime can do, as the specification's features document (features.md, features-linux.md).
//! Engines decide by it, so each list is the one that the code itself goes by.

use crate::args::{Flag, parse, usage};
use plimsoll_fault::Fault;
use plimsoll_runtime::{hook_names, memory_policy_flags, memory_policy_modes, mount_options, namespaces, seccomp};
use plimsoll_sys::caps;
use serde_json::json;
use std::ffi::OsString;
use std::process::ExitCode;

pub(super) fn run(words: Vec<OsString>) -> Result<ExitCode, Fault> {
    const NONE: [Flag; 0] = [];
    if let Some(extra) = parse(&NONE, words, usize::MAX)?.operands.first() {
        return Err(usage(format!("unexpected argument {extra:?}")));
    }
    super::print_json(&json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": plimsoll_spec::runtime::OCI_VERSION,
        "hooks": hook_names(),
        "mountOptions": mount_options(),
        "linux": {
            "namespaces": namespaces(),
            "capabilities": caps::NAMES.as_slice(),
            "cgroup": { "v1": true, "v2": true, "systemd": true, "systemdUser": true, "rdma": true },
            "seccomp": {
                "enabled": true,
                "actions": sorted(seccomp::ACTIONS),
                "operators": sorted(seccomp::OPERATORS),
                "archs": sorted(seccomp::Arch::all_names()),
                "knownFlags": sorted(seccomp::FLAGS),
                "supportedFlags": sorted(seccomp::supported_flags()),
            },
            "apparmor": { "enabled": true },
            "selinux": { "enabled": true },
            "intelRdt": { "enabled": true, "schemata": true, "monitoring": true },
            "memoryPolicy": { "modes": sorted(memory_policy_modes()), "flags": sorted(memory_policy_flags()) },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": true },
        },
        "annotations": { "plimsoll.runtime.version": env!("CARGO_PKG_VERSION") },
        "potentiallyUnsafeConfigAnnotations": [plimsoll_runtime::SYSTEMD_PROPERTY],
    }))
}

fn sorted<'a>(names: impl IntoIterator<Item = &'a str>) -> Vec<&'a str> {
    let mut out: Vec<&str> = names.into_iter().collect();
    out.sort_unstable();
    out
}
