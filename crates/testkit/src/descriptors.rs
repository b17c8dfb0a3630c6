//! Compares our `.proto` files with the published ones: both sides become sets of facts, one line each, and what is in
//! only one of the sets is the report.

use prost_reflect::{DescriptorPool, EnumDescriptor, FieldDescriptor, Kind, MessageDescriptor, ServiceDescriptor};
use std::collections::BTreeSet;
use std::path::PathBuf;
use std::process::Command;

/// Every message field, enum value and method of `package`: names, numbers, types, cardinality, oneofs, deprecation.
pub fn facts(pool: &DescriptorPool, package: &str) -> BTreeSet<String> {
    let mut facts = BTreeSet::new();
    for message in pool.all_messages().filter(|m| m.package_name() == package) {
        facts.insert(format!("message {}", message.full_name()));
        facts.extend(message.fields().map(|field| field_fact(&message, &field)));
    }
    for declared in pool.all_enums().filter(|e| e.package_name() == package) {
        facts.extend(enum_facts(&declared));
    }
    for service in pool.services().filter(|s| s.package_name() == package) {
        facts.extend(service_facts(&service));
    }
    facts
}

fn field_fact(message: &MessageDescriptor, field: &FieldDescriptor) -> String {
    let kind = match field.kind() {
        Kind::Message(inner) => inner.full_name().to_owned(),
        Kind::Enum(inner) => inner.full_name().to_owned(),
        scalar => format!("{scalar:?}").to_lowercase(),
    };
    let oneof = field.containing_oneof().map(|o| format!(" oneof {}", o.name())).unwrap_or_default();
    let deprecated = field.field_descriptor_proto().options.as_ref().and_then(|o| o.deprecated).unwrap_or(false);
    format!(
        "field {}.{} = {} {:?} {kind}{oneof}{}",
        message.full_name(),
        field.name(),
        field.number(),
        field.cardinality(),
        if deprecated { " deprecated" } else { "" }
    )
}

fn enum_facts(declared: &EnumDescriptor) -> Vec<String> {
    declared.values().map(|v| format!("enum {}.{} = {}", declared.full_name(), v.name(), v.number())).collect()
}

fn service_facts(service: &ServiceDescriptor) -> Vec<String> {
    let stream = |on: bool| if on { "stream " } else { "" };
    service
        .methods()
        .map(|m| {
            let (input, output) = (m.input(), m.output());
            format!(
                "rpc {}({}{}) -> {}{}",
                m.full_name(),
                stream(m.is_client_streaming()),
                input.full_name(),
                stream(m.is_server_streaming()),
                output.full_name()
            )
        })
        .collect()
}

/// Folder of a Go module at `version`: the module cache's, fetched by `go mod download` when it is not there yet.
/// The error says why it cannot be had (no Go, no network).
pub fn go_module(module: &str, version: &str) -> Result<PathBuf, String> {
    let answer = Command::new("go")
        .args(["mod", "download", "-json", &format!("{module}@{version}")])
        .current_dir(std::env::temp_dir())
        .output()
        .map_err(|error| format!("cannot run go: {error}"))?;
    let json: serde_json::Value = serde_json::from_slice(&answer.stdout)
        .map_err(|_| format!("go mod download: {}", String::from_utf8_lossy(&answer.stderr).trim()))?;
    match json["Dir"].as_str() {
        Some(folder) => Ok(PathBuf::from(folder)),
        None => Err(format!("go mod download: {}", json["Error"].as_str().unwrap_or("no folder in its answer"))),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pool(text: &str) -> DescriptorPool {
        let file = protox::file::File::from_source("x.proto", text).expect("parses");
        let mut pool = DescriptorPool::new();
        pool.add_file_descriptor_proto(file.file_descriptor_proto().clone()).expect("links");
        pool
    }

    #[test]
    fn a_changed_type_number_or_name_is_a_difference() {
        let base = facts(&pool("syntax=\"proto3\"; package p; message A { string x = 1; }"), "p");
        for other in ["bytes x = 1", "string x = 2", "string y = 1", "repeated string x = 1"] {
            let changed = facts(&pool(&format!("syntax=\"proto3\"; package p; message A {{ {other}; }}")), "p");
            assert_ne!(base, changed, "{other}");
        }
    }
}
