//! What a sandbox is asked to be and what it is. Mirrors no contract's field numbers; CRI maps to it one to one.

use crate::container::{Resources, SeccompProfile};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    pub name: String,
    pub uid: String,
    /// The Kubernetes namespace, not the record's.
    pub namespace: String,
    pub attempt: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxConfig {
    pub metadata: Metadata,
    /// Empty: the pod uses the host's name (only with the host's network).
    pub hostname: String,
    /// Folder under which the containers' `log_path` lie; empty: no logs.
    pub log_directory: String,
    /// `None`: the host's resolv.conf.
    pub dns: Option<Dns>,
    pub port_mappings: Vec<PortMapping>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Empty: [`crate::Config::cgroup_root`].
    pub cgroup_parent: String,
    pub sysctls: BTreeMap<String, String>,
    pub security: SandboxSecurity,
    pub overhead: Option<Resources>,
    pub resources: Option<Resources>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct PortMapping {
    /// `tcp`, `udp` or `sctp`.
    pub protocol: String,
    pub container_port: u16,
    /// 0: not published.
    pub host_port: u16,
    pub host_ip: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum NamespaceMode {
    /// Shared by the pod's containers.
    #[default]
    Pod,
    /// Each container has its own (pid only).
    Container,
    /// The host's.
    Node,
    /// That of another container (pid only).
    Target,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct NamespaceOptions {
    pub network: NamespaceMode,
    pub pid: NamespaceMode,
    pub ipc: NamespaceMode,
    /// The container whose pid namespace is joined with [`NamespaceMode::Target`].
    pub target_id: String,
    pub user: Option<UserNamespace>,
}

/// Only `Pod` and `Node` are legal modes of a user namespace.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct UserNamespace {
    pub mode: NamespaceMode,
    pub uids: Vec<IdMapping>,
    pub gids: Vec<IdMapping>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct IdMapping {
    pub host_id: u32,
    pub container_id: u32,
    pub length: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxSecurity {
    pub namespaces: NamespaceOptions,
    pub privileged: bool,
    pub readonly_rootfs: bool,
    pub seccomp: Option<SeccompProfile>,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub supplemental_groups: Vec<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
pub struct RunRequest {
    /// The record namespace; CRI says `k8s.io`.
    pub namespace: String,
    pub config: SandboxConfig,
    /// Handler name; empty: the default one.
    pub handler: String,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxState {
    Ready,
    #[default]
    NotReady,
}

/// A sandbox as listed. `created_at` is nanoseconds since the epoch.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Sandbox {
    pub id: String,
    pub state: SandboxState,
    pub created_at: i64,
    /// As asked for; empty means the default handler.
    pub handler: String,
    pub config: SandboxConfig,
}

/// A sandbox in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct SandboxStatus {
    pub sandbox: Sandbox,
    /// The first is the pod's primary address. Empty with the host's network.
    pub ips: Vec<String>,
    /// Verbose facts for `inspectp`: JSON values by key.
    pub info: BTreeMap<String, serde_json::Value>,
}

/// All given fields must match. An `id` may be a unique prefix.
#[derive(Clone, Debug, Default)]
pub struct SandboxFilter {
    pub id: Option<String>,
    pub state: Option<SandboxState>,
    pub labels: BTreeMap<String, String>,
}
