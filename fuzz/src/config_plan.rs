//! config.json → plan: any config is decided or refused, and never a panic.

use crate::mutate::{Source, json_value};
use serde_json::{Value, json};
use std::path::Path;
use std::sync::OnceLock;

/// Every property that the plan reads, so that a change can reach it.
fn base() -> Value {
    static BASE: OnceLock<Value> = OnceLock::new();
    let read = || {
        let mut config: Value =
            serde_json::from_str(include_str!("../../crates/runtime/src/cmd/spec.json")).expect("JSON");
        config["domainname"] = json!("d");
        config["annotations"] = json!({ "a": "b" });
        config["process"]["user"] = json!({ "uid": 1, "gid": 2, "umask": 18, "additionalGids": [1, 2] });
        config["process"]["oomScoreAdj"] = json!(3);
        config["process"]["consoleSize"] = json!({ "height": 1, "width": 2 });
        config["process"]["scheduler"] = json!({ "policy": "SCHED_BATCH", "nice": 1 });
        config["process"]["ioPriority"] = json!({ "class": "IOPRIO_CLASS_BE", "priority": 1 });
        config["process"]["execCPUAffinity"] = json!({ "initial": "0", "final": "0-1" });
        config["hooks"] = json!({ "createRuntime": [{ "path": "/a", "args": ["a"], "env": ["A=b"], "timeout": 1 }] });
        let linux = &mut config["linux"];
        linux["uidMappings"] = json!([{ "containerID": 0, "hostID": 1, "size": 1 }]);
        linux["gidMappings"] = json!([{ "containerID": 0, "hostID": 1, "size": 1 }]);
        linux["cgroupsPath"] = json!("/a/b");
        linux["sysctl"] = json!({ "net.ipv4.ip_forward": "1" });
        linux["rootfsPropagation"] = json!("slave");
        linux["personality"] = json!({ "domain": "LINUX" });
        linux["timeOffsets"] = json!({ "boottime": { "secs": 1, "nanosecs": 2 } });
        linux["devices"] =
            json!([{ "path": "/dev/a", "type": "c", "major": 1, "minor": 2, "fileMode": 438, "uid": 0, "gid": 0 }]);
        linux["resources"] = json!({
            "devices": [{ "allow": false, "access": "rwm" }, { "allow": true, "type": "c", "major": 1, "minor": 2, "access": "r" }],
            "memory": { "limit": 1_000_000, "swap": 2_000_000, "reservation": 1, "swappiness": 1, "disableOOMKiller": false },
            "cpu": { "shares": 2, "quota": 1000, "period": 1000, "burst": 1, "cpus": "0", "mems": "0", "idle": 0 },
            "pids": { "limit": 1 }, "unified": { "memory.high": "1" }, "hugepageLimits": [{ "pageSize": "2MB", "limit": 1 }],
            "blockIO": { "weight": 10, "throttleReadBpsDevice": [{ "major": 1, "minor": 2, "rate": 3 }] },
        });
        linux["seccomp"] = json!({ "defaultAction": "SCMP_ACT_ERRNO", "architectures": ["SCMP_ARCH_X86_64"], "flags": ["SECCOMP_FILTER_FLAG_LOG"],
            "syscalls": [{ "names": ["read"], "action": "SCMP_ACT_ALLOW", "args": [{ "index": 0, "value": 1, "valueTwo": 2, "op": "SCMP_CMP_EQ" }] }] });
        config
    };
    BASE.get_or_init(read).clone()
}

pub fn body(data: &[u8]) {
    let bundle = Path::new("/");
    // As they are, and as changes of a config that is right.
    drop(plimsoll_runtime::check(data, bundle));
    let config = json_value(base(), &mut Source::new(data)).to_string();
    drop(plimsoll_runtime::check(config.as_bytes(), bundle));
}
