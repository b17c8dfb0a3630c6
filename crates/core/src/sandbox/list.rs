//! ListPodSandbox.

use super::{Sandbox, SandboxFilter, SandboxState};
use crate::Core;
use crate::state::{SandboxPhase, SandboxRecord};
use plimsoll_fault::Result;

/// The sandboxes that match, oldest first.
pub fn list(core: &Core, namespace: &str, filter: &SandboxFilter) -> Result<Vec<Sandbox>> {
    let records = core.sandboxes().list(namespace).into_iter();
    let made = records.filter(|(_, record)| record.phase != SandboxPhase::Making);
    let mut found: Vec<Sandbox> =
        made.map(|(id, record)| view(id, record)).filter(|sandbox| matches(sandbox, filter)).collect();
    found.sort_by_key(|sandbox| sandbox.created_at);
    Ok(found)
}

pub(super) fn view(id: String, record: SandboxRecord) -> Sandbox {
    let state = match record.phase {
        SandboxPhase::Ready => SandboxState::Ready,
        SandboxPhase::Making | SandboxPhase::NotReady => SandboxState::NotReady,
    };
    let request = record.request;
    Sandbox { id, state, created_at: record.created_at, handler: request.handler, config: request.config }
}

fn matches(sandbox: &Sandbox, filter: &SandboxFilter) -> bool {
    filter.id.as_deref().is_none_or(|id| sandbox.id.starts_with(id))
        && filter.state.is_none_or(|state| sandbox.state == state)
        && filter.labels.iter().all(|(key, value)| sandbox.config.labels.get(key) == Some(value))
}
