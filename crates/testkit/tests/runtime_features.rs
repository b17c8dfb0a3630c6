//! `features`: as complete as runc's, and true.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Scratch, bundle, run};
use serde_json::{Value, json};
use std::collections::BTreeSet;

const OURS: Runtime = Runtime("plimrun");
const RUNC: Runtime = Runtime("runc");

/// Every key and every name that runc has, but for what is refused by name here.
#[test]
fn features_is_as_complete_as_runcs() {
    let scratch = Scratch::new();
    let read = |runtime: Runtime| -> Value {
        serde_json::from_str(&run(runtime.command(&scratch).arg("features")).ok()).expect("JSON")
    };
    let (ours, theirs) = (read(OURS), read(RUNC));
    let mut missing = Vec::new();
    lacks(&ours, &theirs, "", &mut missing);
    missing.retain(|what| !what.starts_with("/annotations/"));
    // runc's own `bundle` label and checkpoints are nothing here.
    let known = ["/potentiallyUnsafeConfigAnnotations: \"bundle\"", "/potentiallyUnsafeConfigAnnotations: \"org.criu"];
    missing.retain(|what| !known.iter().any(|prefix| what.starts_with(prefix)));
    assert_eq!(missing, Vec::<String>::new());
    assert_eq!(ours["ociVersionMin"], theirs["ociVersionMin"]);
    assert_eq!(ours["ociVersionMax"], theirs["ociVersionMax"]);
    assert_eq!(ours["hooks"], theirs["hooks"]);
    for pointer in
        ["/linux/capabilities", "/linux/namespaces", "/linux/memoryPolicy/modes", "/linux/memoryPolicy/flags"]
    {
        let set = |value: &Value| {
            let list = value.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer}"));
            list.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect::<BTreeSet<_>>()
        };
        assert_eq!(set(&ours), set(&theirs), "{pointer}");
    }
}

/// What `theirs` says and `ours` does not: keys, names in lists, `true`.
fn lacks(ours: &Value, theirs: &Value, pointer: &str, missing: &mut Vec<String>) {
    match theirs {
        Value::Object(fields) => {
            for (key, value) in fields {
                match ours.get(key) {
                    None => missing.push(format!("{pointer}/{key}")),
                    Some(own) => lacks(own, value, &format!("{pointer}/{key}"), missing),
                }
            }
        }
        Value::Array(names) => {
            let own = ours.as_array().cloned().unwrap_or_default();
            missing.extend(names.iter().filter(|name| !own.contains(name)).map(|name| format!("{pointer}: {name}")));
        }
        Value::Bool(true) if ours != theirs => missing.push(pointer.to_owned()),
        _ => {}
    }
}

/// The lists of `features` are true: each name that it has is taken in a config.
#[test]
fn features_tells_the_truth() {
    let scratch = Scratch::new();
    let features: Value = serde_json::from_str(&run(OURS.command(&scratch).arg("features")).ok()).expect("JSON");
    let names = |pointer: &str| -> Vec<String> {
        let list = features.pointer(pointer).and_then(Value::as_array).unwrap_or_else(|| panic!("{pointer}"));
        list.iter().map(|name| name.as_str().expect("a name").to_owned()).collect()
    };
    let mut made = bundle(&scratch);
    let actions: Vec<Value> = names("/linux/seccomp/actions")
        .into_iter()
        .filter(|action| action != "SCMP_ACT_NOTIFY")
        .map(|action| json!({ "names": ["swapon"], "action": action }))
        .collect();
    let operators: Vec<Value> = names("/linux/seccomp/operators")
        .into_iter()
        .map(|op| json!({ "names": ["swapoff"], "action": "SCMP_ACT_ERRNO", "args": [{ "index": 0, "value": 1, "op": op }] }))
        .collect();
    let rules = [actions, operators].concat();
    made.set(
        "/linux/seccomp",
        json!({
            "defaultAction": "SCMP_ACT_ALLOW",
            "architectures": names("/linux/seccomp/archs"),
            "flags": names("/linux/seccomp/supportedFlags"),
            "syscalls": rules,
        }),
    );
    assert_eq!(OURS.run(&scratch, &made).ok(), "");
    made.set("/linux/seccomp", Value::Null);
    for mode in names("/linux/memoryPolicy/modes") {
        let nodes = if ["MPOL_DEFAULT", "MPOL_LOCAL"].contains(&mode.as_str()) { "" } else { "0" };
        made.set("/linux/memoryPolicy", json!({ "mode": mode, "nodes": nodes }));
        assert_eq!(OURS.run(&scratch, &made).ok(), "", "{mode}");
    }
    for flag in names("/linux/memoryPolicy/flags") {
        made.set("/linux/memoryPolicy", json!({ "mode": "MPOL_BIND", "nodes": "0", "flags": [flag] }));
        assert_eq!(OURS.run(&scratch, &made).ok(), "", "{flag}");
    }
    made.set("/linux/memoryPolicy", Value::Null);
    let before = made.config["mounts"].clone();
    let other = ["bind", "rbind", "remount", "idmap", "ridmap"];
    for (number, option) in names("/mountOptions").iter().filter(|name| !other.contains(&name.as_str())).enumerate() {
        let mount =
            json!({ "destination": format!("/tmp/{number}"), "type": "tmpfs", "source": "tmpfs", "options": [option] });
        made.config["mounts"].as_array_mut().expect("mounts").push(mount);
    }
    made.set("/root/readonly", json!(false));
    assert_eq!(OURS.run(&scratch, &made).ok(), "", "every mount option");
    made.set("/mounts", before);
    for namespace in names("/linux/namespaces").iter().filter(|name| *name != "mount" && *name != "uts") {
        let mut list = json!([{ "type": "mount" }, { "type": "uts" }, { "type": namespace }]);
        let user = namespace == "user";
        if user {
            list.as_array_mut().expect("a list").extend([
                json!({ "type": "pid" }),
                json!({ "type": "network" }),
                json!({ "type": "ipc" }),
            ]);
            let maps = json!([{ "containerID": 0, "hostID": 0, "size": 65536 }]);
            made.set("/linux/uidMappings", maps.clone()).set("/linux/gidMappings", maps);
        }
        made.set("/linux/namespaces", list);
        let output = OURS.run(&scratch, &made);
        assert_eq!(output.code, 0, "{namespace}: {}", output.stderr);
        made.config["linux"].as_object_mut().expect("linux").retain(|key, _| !key.ends_with("Mappings"));
    }
}
