//! The default seccomp profiles of the engines, resolved for a container as the engines do it.

use crate::peers;
use plimsoll_spec::runtime::Seccomp;
use serde_json::{Value, json};
use std::path::{Path, PathBuf};

/// Name and profile of a container on x86_64 with these capabilities: this project's own (containerd's rules), and Docker's and
/// Podman's, where `peers.sh seccomp-profiles` got them. What is missing is named in the second part.
///
/// # Panics
/// When a profile is not in the form that engines share.
pub fn engines(capabilities: &[&str]) -> (Vec<(&'static str, Seccomp)>, Vec<String>) {
    let own = plimsoll_core::oci_spec::default_profile("x86_64", capabilities);
    let mut found = vec![("containerd", serde_json::from_value(own).expect("the model"))];
    let mut missing = Vec::new();
    for (name, file, installed) in [
        ("Docker", "docker-seccomp.json", None),
        ("Podman", "podman-seccomp.json", Some("/usr/share/containers/seccomp.json")),
    ] {
        let installed = installed.map(PathBuf::from).filter(|path| path.is_file());
        match peers::find(file).or_else(|why| installed.ok_or(why)) {
            Ok(path) => found.push((name, resolve(&path, capabilities))),
            Err(_) => {
                missing.push(format!("NOT COMPARED: {name}'s profile (crates/testkit/peers/peers.sh seccomp-profiles)"))
            }
        }
    }
    (found, missing)
}

/// A rule counts when each of its `includes` holds and none of its `excludes`; of capabilities all must be there.
fn resolve(path: &Path, capabilities: &[&str]) -> Seccomp {
    let text = std::fs::read(path).unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    let whole: Value = serde_json::from_slice(&text).expect("JSON");
    let list = |rule: &Value, pointer: &str| -> Vec<String> {
        let names = rule.pointer(pointer).and_then(Value::as_array).cloned().unwrap_or_default();
        names.iter().filter_map(|name| name.as_str().map(str::to_owned)).collect()
    };
    let counts = |rule: &&Value| {
        let has = |cap: &String| capabilities.contains(&cap.as_str());
        let here = |arches: &[String]| arches.iter().any(|arch| arch == "amd64");
        let (with, without) = (list(rule, "/includes/caps"), list(rule, "/excludes/caps"));
        let (on, off) = (list(rule, "/includes/arches"), list(rule, "/excludes/arches"));
        // Every kernel that this runs on is newer than a `minKernel` of theirs.
        (with.iter().all(has)) && (on.is_empty() || here(&on)) && !without.iter().any(has) && !here(&off)
    };
    let rules: Vec<Value> = whole["syscalls"].as_array().expect("rules").iter().filter(counts).cloned().collect();
    let map = whole["archMap"].as_array().expect("architectures");
    let native = map.iter().find(|entry| entry["architecture"] == "SCMP_ARCH_X86_64").expect("x86_64");
    let mut arches = vec![native["architecture"].clone()];
    arches.extend(native["subArchitectures"].as_array().cloned().unwrap_or_default());
    let profile = json!({
        "defaultAction": whole["defaultAction"], "defaultErrnoRet": whole["defaultErrnoRet"],
        "architectures": arches, "syscalls": rules,
    });
    serde_json::from_value(profile).expect("the specification's form")
}
