//! A container's `state.json` as somebody else left it: read or refused, never a panic.

use crate::mutate::{Source, json_value};
use plimsoll_runtime::Root;
use serde_json::json;
use std::fs;

pub fn body(data: &[u8]) {
    let top = std::env::temp_dir().join(format!("plimsoll-fuzz-state-{}", std::process::id()));
    let folder = top.join("c");
    fs::create_dir_all(&folder).expect("a folder");
    let base = json!({
        "id": "c", "pid": 1, "start_time": 5, "created": "2026-01-01T00:00:00Z", "bundle": "/b", "rootfs": "/b/rootfs", "annotations": { "a": "b" },
        "cgroups": [["memory", "/sys/fs/cgroup/memory/no-such"]], "own_pid_namespace": true, "namespaces": 131_072,
        "hooks": { "poststop": [{ "path": "/a" }] }, "made": [],
    });
    let changed = json_value(base, &mut Source::new(data)).to_string();
    for text in [data, changed.as_bytes()] {
        fs::write(folder.join("state.json"), text).expect("writes");
        fs::write(folder.join("config.json"), text).expect("writes");
        let root = Root::open(&top).expect("the root");
        // Only what reads: a state file names cgroups and processes.
        drop(plimsoll_runtime::state(&root, "c"));
        drop(plimsoll_runtime::list(&root));
        drop(plimsoll_runtime::container_process(&root, "c"));
    }
}
