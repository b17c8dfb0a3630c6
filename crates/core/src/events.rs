//! The one event journal: a sequence of facts about sandboxes, containers and images. Contracts show views of it.

use plimsoll_fault::Fault;
use serde::{Deserialize, Serialize};
use tokio::sync::broadcast;

/// What happened. The names are the journal's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    SandboxReady,
    SandboxStopped,
    SandboxRemoved,
    SandboxFailed,
    ContainerCreated,
    ContainerStarted,
    ContainerExited,
    ContainerOom,
    ContainerRemoved,
    ContainerFailed,
    NodeRecovered,
}

/// One entry. `at` is nanoseconds since the epoch.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub struct Event {
    pub sequence: u64,
    pub namespace: String,
    pub topic: Topic,
    pub at: i64,
    pub sandbox: Option<String>,
    pub container: Option<String>,
    pub fault: Option<Fault>,
}

/// Subscribers that fall behind by more than this many events are told so (`RecvError::Lagged`).
const LIVE: usize = 1024;

pub struct Journal {
    live: broadcast::Sender<Event>,
}

impl Default for Journal {
    fn default() -> Self {
        Self { live: broadcast::channel(LIVE).0 }
    }
}

impl Journal {
    /// Every event from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.live.subscribe()
    }
}
