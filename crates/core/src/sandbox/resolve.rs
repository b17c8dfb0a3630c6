//! From an id or a unique prefix to a record. What is still being made is not found.

use crate::Core;
use crate::state::{SandboxPhase, SandboxRecord};
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// `None` when no sandbox has that id or prefix; a fault when several have.
pub(crate) fn resolve(core: &Core, namespace: &str, id: &str) -> Result<Option<(String, SandboxRecord)>> {
    let made = |record: &SandboxRecord| record.phase != SandboxPhase::Making;
    if let Some(record) = core.sandboxes().find(namespace, id).filter(made) {
        return Ok(Some((id.to_owned(), record)));
    }
    let all = core.sandboxes().list(namespace);
    one("sandbox", id, all.into_iter().filter(|(full, record)| made(record) && full.starts_with(id)))
}

/// The only one of `matches`; an empty prefix matches nothing.
pub(crate) fn one<T>(
    what: &str,
    prefix: &str,
    matches: impl Iterator<Item = (String, T)>,
) -> Result<Option<(String, T)>> {
    let mut found: Vec<(String, T)> = if prefix.is_empty() { Vec::new() } else { matches.take(2).collect() };
    if found.len() > 1 {
        let what = format!("{what} id {prefix:?} is not unique");
        return Err(Fault::new(Layer::Caller, "lookup", what).kind(Kind::InvalidArgument));
    }
    Ok(found.pop())
}
