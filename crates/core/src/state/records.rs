//! What is kept of a sandbox and of a container: everything that recovery needs and nothing that can be derived.

use super::shelf::Kept;
use crate::config::Controller;
use crate::container::{ContainerConfig, User};
use crate::sandbox::RunRequest;
use crate::shim::TaskVersion;
use plimsoll_fault::Fault;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SandboxPhase {
    /// Being made: unseen by lists, undone by recovery.
    #[default]
    Making,
    Ready,
    /// Stopped, or its shim has died. Still holds what has not been given back.
    NotReady,
}

/// A sandbox. Times are nanoseconds since the epoch.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct SandboxRecord {
    pub phase: SandboxPhase,
    pub request: RunRequest,
    pub created_at: i64,
    /// Resolved handler name.
    pub handler: String,
    pub cgroup_parent: String,
    /// `None` with the host's network. Recorded before the namespace is made.
    pub netns: Option<PathBuf>,
    /// Where the shim listens; recorded once it does.
    pub shim_address: Option<String>,
    pub shim_version: TaskVersion,
    pub controller: Controller,
    pub ips: Vec<String>,
    pub network: Option<serde_json::Value>,
    /// The boot in which it was made.
    pub boot: String,
    pub fault: Option<Fault>,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum ContainerPhase {
    /// Being made: unseen by lists, undone by recovery.
    #[default]
    Making,
    Created,
    /// The shim was asked to create the task; recovery asks it how far that went.
    Starting,
    Running,
    Exited,
    /// Its shim died without telling how it ended.
    Unknown,
}

/// A container. Times are nanoseconds since the epoch, 0 while not known.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub struct ContainerRecord {
    pub phase: ContainerPhase,
    pub sandbox: String,
    pub config: ContainerConfig,
    pub created_at: i64,
    pub started_at: i64,
    pub finished_at: i64,
    pub image_id: String,
    pub image_ref: String,
    /// The committed snapshot below the container's own.
    pub parent: Option<String>,
    pub user: User,
    /// In force, as a name.
    pub stop_signal: String,
    /// Absolute; empty without a log.
    pub log_path: String,
    /// As the runtime gets it.
    pub cgroup: String,
    pub pid: u32,
    pub exit_code: i32,
    pub reason: String,
    pub message: String,
    pub fault: Option<Fault>,
}

impl ContainerRecord {
    pub fn alive(&self) -> bool {
        matches!(self.phase, ContainerPhase::Starting | ContainerPhase::Running)
    }
}

impl Kept for SandboxRecord {
    fn labels(&self) -> &BTreeMap<String, String> {
        &self.request.config.labels
    }

    fn created_at(&self) -> i64 {
        self.created_at
    }

    fn owner(&self) -> Option<String> {
        None
    }
}

impl Kept for ContainerRecord {
    fn labels(&self) -> &BTreeMap<String, String> {
        &self.config.labels
    }

    fn created_at(&self) -> i64 {
        self.created_at
    }

    fn owner(&self) -> Option<String> {
        Some(format!("sandbox/{}", self.sandbox))
    }
}
