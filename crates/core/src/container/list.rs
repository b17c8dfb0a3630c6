//! ListContainers.

use super::{Container, ContainerFilter, ContainerState};
use crate::Core;
use crate::state::{ContainerPhase, ContainerRecord};
use plimsoll_fault::Result;

/// The containers that match, oldest first.
pub fn list(core: &Core, namespace: &str, filter: &ContainerFilter) -> Result<Vec<Container>> {
    let records = core.containers().list(namespace).into_iter();
    let made = records.filter(|(_, record)| record.phase != ContainerPhase::Making);
    let mut found: Vec<Container> =
        made.map(|(id, record)| view(id, &record)).filter(|container| matches(container, filter)).collect();
    found.sort_by_key(|container| container.created_at);
    Ok(found)
}

pub(super) fn view(id: String, record: &ContainerRecord) -> Container {
    let state = match record.phase {
        // Until the start has succeeded, the container is a created one.
        ContainerPhase::Making | ContainerPhase::Created | ContainerPhase::Starting => ContainerState::Created,
        ContainerPhase::Running => ContainerState::Running,
        ContainerPhase::Exited => ContainerState::Exited,
        ContainerPhase::Unknown => ContainerState::Unknown,
    };
    Container {
        id,
        sandbox: record.sandbox.clone(),
        state,
        created_at: record.created_at,
        image_id: record.image_id.clone(),
        image_ref: record.image_ref.clone(),
        config: record.config.clone(),
    }
}

fn matches(container: &Container, filter: &ContainerFilter) -> bool {
    filter.id.as_deref().is_none_or(|id| container.id.starts_with(id))
        && filter.sandbox.as_deref().is_none_or(|id| container.sandbox.starts_with(id))
        && filter.state.is_none_or(|state| container.state == state)
        && filter.labels.iter().all(|(key, value)| container.config.labels.get(key) == Some(value))
}
