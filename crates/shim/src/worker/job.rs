//! What a worker is for, and therefore what happens when it has ended.

use crate::server::Reply;
use crate::task::{Key, freeze::Verb};

#[derive(Clone, Debug)]
pub(crate) enum Job {
    Create {
        id: String,
        reply: Reply,
    },
    Start {
        id: String,
        reply: Reply,
    },
    StartExec {
        key: Key,
        reply: Reply,
    },
    KillAll {
        reply: Reply,
    },
    Freeze {
        id: String,
        verb: Verb,
        reply: Reply,
    },
    Update {
        id: String,
        reply: Reply,
    },
    Delete {
        id: String,
    },
    /// Nobody waits: after a failed create, or when an init without a PID namespace of its own has ended.
    Cleanup {
        id: String,
    },
    StartSandbox {
        reply: Reply,
    },
    StopSandbox {
        reply: Reply,
        shutdown: bool,
    },
}

impl Job {
    /// Who waits for it.
    pub(crate) fn reply(&self) -> Option<Reply> {
        match self {
            Self::Create { reply, .. }
            | Self::Start { reply, .. }
            | Self::StartExec { reply, .. }
            | Self::KillAll { reply }
            | Self::Freeze { reply, .. }
            | Self::Update { reply, .. }
            | Self::StartSandbox { reply }
            | Self::StopSandbox { reply, .. } => Some(*reply),
            Self::Delete { .. } | Self::Cleanup { .. } => None,
        }
    }
}
