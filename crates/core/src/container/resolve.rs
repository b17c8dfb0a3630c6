//! From an id or a unique prefix to a record. What is still being made is not found.

use crate::Core;
use crate::sandbox;
use crate::state::{ContainerPhase, ContainerRecord};
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// `None` when no container has that id or prefix; a fault when several have.
pub(super) fn resolve(core: &Core, namespace: &str, id: &str) -> Result<Option<(String, ContainerRecord)>> {
    let made = |record: &ContainerRecord| record.phase != ContainerPhase::Making;
    if let Some(record) = core.containers().find(namespace, id).filter(made) {
        return Ok(Some((id.to_owned(), record)));
    }
    let all = core.containers().list(namespace).into_iter();
    sandbox::one("container", id, all.filter(|(full, record)| made(record) && full.starts_with(id)))
}

/// The container, or the fault that there is none.
pub(super) fn known(core: &Core, namespace: &str, id: &str) -> Result<(String, ContainerRecord)> {
    resolve(core, namespace, id)?
        .ok_or_else(|| Fault::new(Layer::Caller, "lookup", format!("container {id:?} is unknown")).kind(Kind::NotFound))
}

/// All containers of a sandbox, also those being made.
pub(crate) fn of_sandbox(core: &Core, namespace: &str, sandbox: &str) -> Vec<(String, ContainerRecord)> {
    let all = core.containers().list(namespace).into_iter();
    all.filter(|(_, record)| record.sandbox == sandbox).collect()
}
