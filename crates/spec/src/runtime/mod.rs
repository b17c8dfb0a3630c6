//! The OCI runtime specification 1.3 as tolerant serde types: unknown fields are ignored, `null` means absent, and names
//! that grow over time (capabilities, mount options, namespaces, seccomp operators) stay strings, so that one unknown name
//! never refuses a whole config. What the names mean is decided by whoever acts on them.

mod hooks;
mod linux;
mod locate;
mod parse;
mod process;
mod resources;
pub mod seccomp;
mod state;

pub use hooks::{Hook, Hooks};
pub use linux::{Device, IdMapping, IntelRdt, Linux, MemoryPolicy, Namespace, NetDevice, Personality, TimeOffset};
pub use parse::ParseError;
pub use process::{
    Capabilities, ConsoleSize, CpuAffinity, IoPriority, Process, Rlimit, Scheduler, User, parse_process,
};
pub use resources::{
    BlockIo, Cpu, DeviceRule, HugepageLimit, InterfacePriority, Memory, Network, Pids, Rdma, Resources, ThrottleDevice,
    WeightDevice,
};
pub use seccomp::Seccomp;
pub use state::{State, Status};

use serde::{Deserialize, Deserializer, Serialize};
use std::collections::BTreeMap;

/// Version of the specification that is implemented.
pub const OCI_VERSION: &str = "1.3.0";

/// `config.json`.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Spec {
    pub oci_version: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub process: Option<Process>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub root: Option<Root>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hostname: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub domainname: Option<String>,
    #[serde(default, deserialize_with = "null", skip_serializing_if = "Vec::is_empty")]
    pub mounts: Vec<Mount>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub hooks: Option<Hooks>,
    #[serde(default, deserialize_with = "null", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub linux: Option<Linux>,
}

/// `root`: the container's root filesystem. A relative path is relative to the bundle.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Root {
    pub path: String,
    #[serde(default, deserialize_with = "null")]
    pub readonly: bool,
}

/// One of `mounts`. Options are those of fstab plus the specification's own (`rbind`, `rro`, `tmpcopyup`, …).
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Mount {
    pub destination: String,
    #[serde(default, rename = "type", skip_serializing_if = "Option::is_none")]
    pub kind: Option<String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<String>,
    #[serde(default, deserialize_with = "null", skip_serializing_if = "Vec::is_empty")]
    pub options: Vec<String>,
    #[serde(default, deserialize_with = "null", skip_serializing_if = "Vec::is_empty")]
    pub uid_mappings: Vec<IdMapping>,
    #[serde(default, deserialize_with = "null", skip_serializing_if = "Vec::is_empty")]
    pub gid_mappings: Vec<IdMapping>,
}

impl Spec {
    /// Parses a `config.json`. The error names the JSON pointer of the offending value.
    pub fn parse(bytes: &[u8]) -> Result<Self, ParseError> {
        parse::document(bytes)
    }
}

/// Reads `null` as the type's default: Go programs write nil slices and maps that way.
pub(crate) fn null<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wrong_type_is_reported_with_its_json_pointer() {
        let text = br#"{"ociVersion":"1.0.2","process":{"cwd":"/","user":{"uid":"root"}}}"#;
        let error = Spec::parse(text).expect_err("uid is a string");
        assert_eq!(error.pointer, "/process/user/uid");
        assert!(error.to_string().contains("invalid type: string"), "{error}");
    }

    #[test]
    fn null_and_unknown_fields_are_tolerated() {
        let text = br#"{"ociVersion":"1.0.2","mounts":null,"hooks":null,"x":1,"linux":{"devices":null,"new":[]}}"#;
        let spec = Spec::parse(text).expect("parses");
        assert!(spec.mounts.is_empty() && spec.hooks.is_none());
        let text = br#"{"defaultAction":"SCMP_ACT_ALLOW","syscalls":[{"names":["ptrace"],"action":"SCMP_ACT_ERRNO",
            "args":[{"index":0,"value":1,"valueTwo":null,"op":"SCMP_CMP_EQ"}]}]}"#;
        let profile: Seccomp = serde_json::from_slice(text).expect("parses");
        assert_eq!(profile.syscalls[0].args[0].value_two, 0);
    }

    #[test]
    fn broken_json_has_a_position() {
        let error = Spec::parse(b"{\"ociVersion\": ").expect_err("truncated");
        assert!(error.to_string().contains("line 1"), "{error}");
        assert_eq!(error.pointer, "/ociVersion");
    }
}
