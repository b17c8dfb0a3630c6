//! `plimrun features`: what this runtime can do, as the specification's features document. Engines decide by it.

use plimsoll_fault::Fault;
use plimsoll_runtime::{mount_options, seccomp};
use plimsoll_sys::caps;
use serde_json::json;
use std::process::ExitCode;

pub(super) fn run() -> Result<ExitCode, Fault> {
    super::print_json(&json!({
        "ociVersionMin": "1.0.0",
        "ociVersionMax": plimsoll_spec::runtime::OCI_VERSION,
        "hooks": ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"],
        "mountOptions": mount_options(),
        "linux": {
            "namespaces": ["cgroup", "ipc", "mount", "network", "pid", "time", "user", "uts"],
            "capabilities": caps::NAMES.as_slice(),
            "cgroup": { "v1": true, "v2": true, "systemd": false, "systemdUser": false, "rdma": false },
            "seccomp": {
                "enabled": true,
                "actions": seccomp::ACTIONS,
                "operators": seccomp::OPERATORS,
                "archs": [],
                "knownFlags": seccomp::FLAGS,
            },
            "apparmor": { "enabled": false },
            "selinux": { "enabled": false },
            "intelRdt": { "enabled": false },
            "memoryPolicy": { "modes": [], "flags": [] },
            "mountExtensions": { "idmap": { "enabled": true } },
            "netDevices": { "enabled": false },
        },
        "annotations": { "plimsoll.runtime.version": env!("CARGO_PKG_VERSION") },
        "potentiallyUnsafeConfigAnnotations": [],
    }))
}
