//! Our files of the shim line against containerd's published ones, field by field.

use plimsoll_testkit::descriptors::{facts, go_module};
use prost_reflect::DescriptorPool;
use std::collections::BTreeSet;
use std::io::Write;

const MODULE: &str = "github.com/containerd/containerd/api";
const VERSION: &str = "v1.12.0";

/// The metrics that Stats answers with.
const CGROUPS: &str = "github.com/containerd/cgroups/v3";
const CGROUPS_VERSION: &str = "v3.0.5";

const FILES: &[&str] = &[
    "events/sandbox.proto",
    "events/task.proto",
    "runtime/bootstrap/v1/bootstrap.proto",
    "runtime/sandbox/v1/sandbox.proto",
    "runtime/task/v2/shim.proto",
    "runtime/task/v3/shim.proto",
    "services/ttrpc/events/v1/events.proto",
    "types/descriptor.proto",
    "types/introspection.proto",
    "types/runc/options/oci.proto",
];

/// Packages that are ours whole.
const WHOLE: &[&str] = &[
    "containerd.task.v2",
    "containerd.task.v3",
    "containerd.v1.types",
    "containerd.runtime.bootstrap.v1",
    "containerd.runtime.sandbox.v1",
    "containerd.services.events.ttrpc.v1",
    "containerd.runc.v1",
];

/// Packages of which we have the messages that the shim line uses.
const PART: &[&str] = &["containerd.types", "containerd.events"];

/// The published files of a module; `None`, which is said, when it is not available.
fn published(module: &str, version: &str, files: &[&str]) -> Option<DescriptorPool> {
    let folder = match go_module(module, version) {
        Ok(folder) => folder,
        Err(why) => {
            // Past the harness's capture: a comparison that did not happen must be seen.
            writeln!(std::io::stderr(), "NOT COMPARED: {module}@{version} is not available: {why}").expect("stderr");
            return None;
        }
    };
    let mut compiler = protox::Compiler::new([&folder]).expect("compiler");
    compiler.include_imports(true).open_files(files).expect("the published files compile");
    Some(compiler.descriptor_pool())
}

#[test]
fn the_metrics_equal_the_published_descriptors() {
    let ours = DescriptorPool::decode(plimsoll_proto::shim::DESCRIPTORS).expect("our descriptors decode");
    for (file, package) in [
        ("cgroup1/stats/metrics.proto", "io.containerd.cgroups.v1"),
        ("cgroup2/stats/metrics.proto", "io.containerd.cgroups.v2"),
    ] {
        let Some(published) = published(CGROUPS, CGROUPS_VERSION, &[file]) else { return };
        let (theirs, ours) = (facts(&published, package), facts(&ours, package));
        assert!(theirs.len() > 50, "only {} facts read: the comparison itself is broken", theirs.len());
        assert_eq!(theirs.symmetric_difference(&ours).collect::<Vec<_>>(), Vec::<&String>::new());
    }
}

#[test]
fn the_shim_line_equals_the_published_descriptors() {
    let Some(published) = published(MODULE, VERSION, FILES) else { return };
    let ours = DescriptorPool::decode(plimsoll_proto::shim::DESCRIPTORS).expect("our descriptors decode");
    let mut compared = 0;
    for package in WHOLE {
        let (theirs, ours) = (facts(&published, package), facts(&ours, package));
        compared += ours.len();
        let missing: Vec<_> = theirs.difference(&ours).collect();
        let extra: Vec<_> = ours.difference(&theirs).collect();
        assert!(missing.is_empty() && extra.is_empty(), "{package}: missing: {missing:#?}\nonly ours: {extra:#?}");
    }
    for package in PART {
        let (theirs, ours) = (facts(&published, package), facts(&ours, package));
        compared += ours.len();
        let of_ours: BTreeSet<&String> = theirs.iter().filter(|fact| ours.contains(&message_of(fact))).collect();
        let missing: Vec<_> = of_ours.iter().filter(|fact| !ours.contains(fact.as_str())).collect();
        let extra: Vec<_> = ours.difference(&theirs).collect();
        assert!(missing.is_empty() && extra.is_empty(), "{package}: missing: {missing:#?}\nonly ours: {extra:#?}");
    }
    assert!(compared > 250, "only {compared} facts read: the comparison itself is broken");
}

/// `field a.b.C.d = …` and `message a.b.C` both belong to `message a.b.C`.
fn message_of(fact: &str) -> String {
    let mut words = fact.split(' ');
    let (kind, name) = (words.next().unwrap_or_default(), words.next().unwrap_or_default());
    let name = if kind == "field" { name.rsplit_once('.').map_or(name, |(message, _)| message) } else { name };
    format!("message {name}")
}
