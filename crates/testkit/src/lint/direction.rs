//! Which crate may use which (docs/ARCHITECTURE.md), read from `cargo metadata`.

use serde_json::Value;
use std::collections::{BTreeMap, BTreeSet};
use std::process::Command;

/// What each crate may use of ours. Tests (dev-dependencies) and the testkit are free.
const MAY_USE: [(&str, &[&str]); 12] = [
    ("fault", &[]),
    ("sys", &[]),
    ("spec", &["fault"]),
    ("proto", &["fault"]),
    ("runtime", &["sys", "spec", "fault"]),
    ("shim", &["runtime", "proto", "sys", "spec", "fault"]),
    ("image", &["sys", "spec", "fault"]),
    ("net", &["sys", "spec", "fault", "image"]),
    ("core", &["image", "net", "sys", "spec", "proto", "fault"]),
    ("cri", &["core", "image", "net", "sys", "spec", "proto", "fault"]),
    ("daemon", &["cri", "core", "image", "net", "sys", "spec", "proto", "fault"]),
    ("cli", &["proto", "spec", "fault"]),
];

/// Crates whose programs must stay without an executor, threads in the background and C libraries.
const SYNC: [&str; 2] = ["plimsoll-runtime", "plimsoll-shim"];
const EXECUTORS: [&str; 9] = ["tokio", "async-std", "smol", "hyper", "tonic", "rayon", "clap", "tracing", "regex"];

/// Uses that point back or across.
pub fn direction() -> Vec<String> {
    let metadata = match metadata(&["--no-deps"]) {
        Ok(metadata) => metadata,
        Err(why) => return vec![why],
    };
    let mut problems = Vec::new();
    for package in metadata["packages"].as_array().into_iter().flatten() {
        let Some(name) = own(package) else { continue };
        if name == "testkit" {
            continue;
        }
        let Some((_, may)) = MAY_USE.iter().find(|(known, _)| *known == name) else {
            problems.push(format!("crate {name} has no line in the table of who may use whom"));
            continue;
        };
        for dependency in package["dependencies"].as_array().into_iter().flatten() {
            let Some(used) = own(dependency) else { continue };
            if dependency["kind"] != "dev" && !may.contains(&used) {
                problems.push(format!("crate {name} must not use {used} (it may use {may:?})"));
            }
        }
    }
    problems
}

fn own(package: &Value) -> Option<&str> {
    package["name"].as_str()?.strip_prefix("plimsoll-")
}

/// What the sync programs pull in that they must not.
pub fn executors() -> Vec<String> {
    let metadata = match metadata(&["--filter-platform", "x86_64-unknown-linux-gnu"]) {
        Ok(metadata) => metadata,
        Err(why) => return vec![why],
    };
    let names: BTreeMap<&str, &str> = metadata["packages"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|p| Some((p["id"].as_str()?, p["name"].as_str()?)))
        .collect();
    let nodes: BTreeMap<&str, &Value> = metadata["resolve"]["nodes"]
        .as_array()
        .into_iter()
        .flatten()
        .filter_map(|n| Some((n["id"].as_str()?, n)))
        .collect();
    let mut problems = Vec::new();
    for (id, name) in names.iter().filter(|(_, name)| SYNC.contains(name)) {
        let reached = reached_from(id, &nodes);
        let bad = reached.iter().filter_map(|id| names.get(id)).filter(|n| EXECUTORS.contains(n));
        problems
            .extend(bad.map(|bad| format!("{name} pulls in {bad}: an executor or a heavy crate in a sync program")));
    }
    problems
}

/// Everything a package links at run time (normal dependencies, transitively; proc macros and build scripts' are not linked).
fn reached_from<'a>(start: &'a str, nodes: &BTreeMap<&'a str, &'a Value>) -> BTreeSet<&'a str> {
    let (mut found, mut next) = (BTreeSet::new(), vec![start]);
    while let Some(id) = next.pop() {
        if !found.insert(id) {
            continue;
        }
        let Some(node) = nodes.get(id) else { continue };
        for dependency in node["deps"].as_array().into_iter().flatten() {
            let normal = dependency["dep_kinds"].as_array().into_iter().flatten().any(|k| k["kind"].is_null());
            if let (true, Some(id)) = (normal, dependency["pkg"].as_str()) {
                next.push(id);
            }
        }
    }
    found
}

fn metadata(args: &[&str]) -> Result<Value, String> {
    let mut cargo = Command::new(std::env::var_os("CARGO").unwrap_or_else(|| "cargo".into()));
    let output = cargo.args(["metadata", "--format-version", "1", "--locked"]).args(args).output();
    let output = output.map_err(|e| format!("cargo metadata: {e}"))?;
    if !output.status.success() {
        return Err(format!("cargo metadata: {}", String::from_utf8_lossy(&output.stderr).trim_end()));
    }
    serde_json::from_slice(&output.stdout).map_err(|e| format!("cargo metadata: {e}"))
}
