//! What a container is asked to be and what it is. Mirrors no contract's field numbers; CRI maps to it one to one.

use crate::sandbox::{IdMapping, NamespaceOptions};
use plimsoll_fault::Fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Metadata {
    pub name: String,
    pub attempt: u32,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ImageSpec {
    /// Any reference or id of a pulled image.
    pub image: String,
    /// As the user wrote it; empty: as `image`.
    pub user_specified: String,
    pub handler: String,
    pub annotations: BTreeMap<String, String>,
}

/// A byte string: CRI carries values that need not be UTF-8.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct EnvVar {
    pub key: String,
    pub value: Vec<u8>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Propagation {
    #[default]
    Private,
    HostToContainer,
    Bidirectional,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Mount {
    pub container_path: String,
    pub host_path: String,
    pub readonly: bool,
    /// Only with `readonly` and [`Propagation::Private`].
    pub recursive_readonly: bool,
    pub propagation: Propagation,
    pub selinux_relabel: bool,
    pub uids: Vec<IdMapping>,
    pub gids: Vec<IdMapping>,
    /// An image to mount instead of a host path.
    pub image: Option<ImageSpec>,
    pub image_sub_path: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Device {
    pub container_path: String,
    pub host_path: String,
    /// Any of `r`, `w`, `m`.
    pub permissions: String,
}

/// Zero and absent mean "not set". Shares, periods and quotas are the kernel's microsecond values.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Resources {
    pub cpu_period: i64,
    pub cpu_quota: i64,
    pub cpu_shares: i64,
    pub memory_limit: i64,
    pub memory_swap_limit: i64,
    pub oom_score_adj: i64,
    pub cpuset_cpus: String,
    pub cpuset_mems: String,
    /// Page size (`2MB`) to limit in bytes.
    pub hugepage_limits: BTreeMap<String, u64>,
    pub unified: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SeccompProfile {
    #[default]
    RuntimeDefault,
    Unconfined,
    /// Absolute path of a profile on this node.
    Localhost(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ApparmorProfile {
    #[default]
    RuntimeDefault,
    Unconfined,
    /// The name of a loaded profile.
    Localhost(String),
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Selinux {
    pub user: String,
    pub role: String,
    pub kind: String,
    pub level: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Capabilities {
    /// Names with or without `CAP_`; `ALL` means all.
    pub add: Vec<String>,
    pub drop: Vec<String>,
    pub add_ambient: Vec<String>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SupplementalGroupsPolicy {
    #[default]
    Merge,
    Strict,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerSecurity {
    pub capabilities: Capabilities,
    pub privileged: bool,
    pub namespaces: NamespaceOptions,
    pub selinux: Option<Selinux>,
    pub run_as_user: Option<i64>,
    pub run_as_group: Option<i64>,
    pub run_as_username: String,
    pub readonly_rootfs: bool,
    pub supplemental_groups: Vec<i64>,
    pub supplemental_groups_policy: SupplementalGroupsPolicy,
    pub apparmor: Option<ApparmorProfile>,
    pub seccomp: Option<SeccompProfile>,
    pub no_new_privs: bool,
    /// Empty means none when `Some`; `None` means the default ones.
    pub masked_paths: Option<Vec<String>>,
    pub readonly_paths: Option<Vec<String>>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerConfig {
    pub metadata: Metadata,
    pub image: ImageSpec,
    /// Replaces the image's entrypoint when not empty.
    pub command: Vec<String>,
    /// Replaces the image's command when not empty, or when `command` is given.
    pub args: Vec<String>,
    pub working_dir: String,
    pub envs: Vec<EnvVar>,
    pub mounts: Vec<Mount>,
    pub devices: Vec<Device>,
    pub labels: BTreeMap<String, String>,
    pub annotations: BTreeMap<String, String>,
    /// Relative to the sandbox's `log_directory`; empty: no log.
    pub log_path: String,
    pub stdin: bool,
    pub stdin_once: bool,
    pub tty: bool,
    pub cdi_devices: Vec<String>,
    /// A name such as `SIGTERM`; empty: the image's, else SIGTERM.
    pub stop_signal: String,
    pub resources: Resources,
    pub security: ContainerSecurity,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct CreateRequest {
    /// The record namespace; CRI says `k8s.io`.
    pub namespace: String,
    pub sandbox: String,
    pub config: ContainerConfig,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerState {
    #[default]
    Created,
    Running,
    Exited,
    /// Its shim is gone and left no exit code.
    Unknown,
}

/// A container as listed. Times are nanoseconds since the epoch, 0 while they are not known.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Container {
    pub id: String,
    pub sandbox: String,
    pub state: ContainerState,
    pub created_at: i64,
    /// The image's id (config digest).
    pub image_id: String,
    /// The repository digest, or the id when there is none.
    pub image_ref: String,
    pub config: ContainerConfig,
}

/// A container in full.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerStatus {
    pub container: Container,
    pub started_at: i64,
    pub finished_at: i64,
    pub exit_code: i32,
    /// `Completed`, `Error`, `OOMKilled`, `StartError`, `Unknown`; empty while it runs.
    pub reason: String,
    pub message: String,
    /// Absolute path, empty without a log.
    pub log_path: String,
    /// The user the first process has.
    pub user: Option<User>,
    /// A name such as `SIGTERM`, as it is in force.
    pub stop_signal: String,
    /// What made the last step fail.
    pub fault: Option<Fault>,
    /// Verbose facts for `inspect`: JSON values by key.
    pub info: BTreeMap<String, serde_json::Value>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct User {
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
}

/// All given fields must match. Ids may be unique prefixes.
#[derive(Clone, Debug, Default)]
pub struct ContainerFilter {
    pub id: Option<String>,
    pub sandbox: Option<String>,
    pub state: Option<ContainerState>,
    pub labels: BTreeMap<String, String>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecSyncRequest {
    pub namespace: String,
    pub id: String,
    pub command: Vec<String>,
    /// `None`: no limit.
    pub timeout: Option<std::time::Duration>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct ExecSyncOutput {
    pub stdout: Vec<u8>,
    pub stderr: Vec<u8>,
    pub exit_code: i32,
}

/// `timestamp` is nanoseconds since the epoch. Absent figures were not to be had.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct ContainerStats {
    pub container: Container,
    pub timestamp: i64,
    pub cpu_nanoseconds: Option<u64>,
    pub memory_usage: Option<u64>,
    pub memory_working_set: Option<u64>,
    pub memory_available: Option<u64>,
    pub memory_rss: Option<u64>,
    pub page_faults: Option<u64>,
    pub major_page_faults: Option<u64>,
    pub pids: Option<u64>,
    /// Bytes and inodes of the writable layer, and the folder it lies in.
    pub layer_bytes: u64,
    pub layer_inodes: u64,
    pub layer_path: String,
}
