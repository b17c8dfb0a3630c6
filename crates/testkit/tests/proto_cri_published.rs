//! Our CRI v1 files against the published ones (Go module k8s.io/cri-api), field by field.

use plimsoll_testkit::descriptors::{facts, go_module};
use prost_reflect::DescriptorPool;
use std::io::Write;

const MODULE: &str = "k8s.io/cri-api";
const VERSION: &str = "v0.37.2";

#[test]
fn cri_equals_the_published_descriptors() {
    let folder = match go_module(MODULE, VERSION) {
        Ok(folder) => folder.join("pkg/apis/runtime/v1"),
        Err(why) => {
            // Past the harness's capture: a comparison that did not happen must be seen.
            writeln!(std::io::stderr(), "NOT COMPARED: {MODULE}@{VERSION} is not available: {why}").expect("stderr");
            return;
        }
    };
    let mut compiler = protox::Compiler::new([&folder]).expect("compiler");
    compiler.include_imports(true).open_file("api.proto").expect("the published file compiles");
    let ours = DescriptorPool::decode(plimsoll_proto::cri::DESCRIPTORS).expect("our descriptors decode");
    let (published, ours) = (facts(&compiler.descriptor_pool(), "runtime.v1"), facts(&ours, "runtime.v1"));
    assert!(published.len() > 600, "only {} facts read: the comparison itself is broken", published.len());
    let missing: Vec<_> = published.difference(&ours).collect();
    let extra: Vec<_> = ours.difference(&published).collect();
    assert!(missing.is_empty() && extra.is_empty(), "missing: {missing:#?}\nonly ours: {extra:#?}");
}
