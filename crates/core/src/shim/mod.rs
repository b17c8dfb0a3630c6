//! The daemon's side of the shim line: starting shims, the ttrpc connection, and one async function per call. Works with
//! any shim that speaks shim v2; what only ours offers is in `extension.rs`. Owns no record of containers.

mod client;
mod convert;
pub(crate) mod events;
mod extension;
mod launch;
mod log;
mod sandbox;
mod task;

pub use extension::{ExitRecord, KeptProcess};
pub use launch::{Launch, Launcher, reads_parameters};
pub(crate) use log::follow as follow_log;
pub use sandbox::{SandboxRequest, SandboxState};
pub use task::{CreateTask, ExecTask, Exit, ProcessStatus, Stdio, TaskOptions, TaskState};

use client::Client;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use serde::{Deserialize, Serialize};
use std::sync::Arc;
use std::time::Duration;

/// The deadline of a call that does no work to speak of.
const QUICK: Duration = Duration::from_secs(10);

/// The deadline of a call for which the shim runs a worker; longer than the worker's own, so that the shim's fault, which
/// names the stage, arrives first.
const WORK: Duration = Duration::from_secs(150);

/// A connected shim. Cheap to clone; all clones share one connection.
#[derive(Clone, Debug)]
pub struct Shim {
    client: Client,
    address: Arc<str>,
    version: TaskVersion,
    work: Duration,
}

/// Which Task service the shim speaks; the messages are equal.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum TaskVersion {
    V2,
    #[default]
    V3,
}

impl Shim {
    /// Connects to a running shim by the address it gave at its start (`unix:///path`, or a path). Used after a restart of
    /// the daemon too. Fails with a fault of layer `shim`, kind `Unavailable`, when nobody listens.
    pub async fn connect(address: &str) -> Result<Self> {
        Self::connect_as(address, TaskVersion::V3).await
    }

    pub async fn connect_as(address: &str, version: TaskVersion) -> Result<Self> {
        let client = Client::connect(address).await?;
        Ok(Self { client, address: address.into(), version, work: WORK })
    }

    /// Which Task service it was connected with.
    pub fn version(&self) -> TaskVersion {
        self.version
    }

    /// The same connection, whose working calls (create, start, kill, delete) have this deadline. The shim is told, and
    /// its own fault, which names the stage, comes a little before.
    #[must_use]
    pub fn with_deadline(&self, deadline: Duration) -> Self {
        Self { work: deadline, ..self.clone() }
    }

    /// What to record so that the next daemon can [`Shim::connect`].
    pub fn address(&self) -> &str {
        &self.address
    }

    /// The connection has not ended, as far as this side has noticed. Says nothing about whether the shim answers.
    pub fn is_open(&self) -> bool {
        self.client.is_open()
    }

    /// Resolves when the connection has ended: the shim is gone, or was told to go.
    pub async fn closed(&self) {
        self.client.closed().await;
    }
}

/// Whether a call failed without an answer: late, or with the connection. What a shim answers itself is of another kind or
/// layer.
pub(crate) fn silent(fault: &Fault) -> bool {
    *fault.layer() == Layer::Shim && matches!(fault.class(), Kind::Unavailable | Kind::DeadlineExceeded)
}
