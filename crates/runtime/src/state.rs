//! `state` and `list`: what the specification lets everybody ask.

use crate::Root;
use crate::fault::At;
use crate::record::Record;
use plimsoll_fault::{Fault, Kind};
use plimsoll_spec::runtime::{Process, State};

/// The OCI state of one container. An unknown id is a `NotFound` fault whose text contains "does not exist".
pub fn state(root: &Root, id: &str) -> Result<State, Fault> {
    let (record, folder) = Record::load(root, id)?;
    Ok(record.state(&folder))
}

/// Every container of the root, by id. One that vanishes meanwhile, or is only being made, is left out, and so is what is no
/// container. One whose state is damaged is left out with a warning: the others are to be seen all the same.
pub fn list(root: &Root) -> Result<Vec<State>, Fault> {
    let what = || format!("cannot list {}", root.path().display());
    let mut out = Vec::new();
    for entry in std::fs::read_dir(root.path()).at("list", "readdir", root.path(), what)? {
        let entry = entry.at("list", "readdir", root.path(), what)?;
        let Ok(id) = entry.file_name().into_string() else { continue };
        if !entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            continue;
        }
        match state(root, &id) {
            Ok(state) => out.push(state),
            Err(fault) if matches!(fault.class(), Kind::NotFound | Kind::InvalidArgument) => {}
            Err(fault) => root.warn(&format!("{id} is left out: {fault}")),
        }
    }
    out.sort_by(|a, b| a.id.cmp(&b.id));
    Ok(out)
}

/// The `process` of the container's config as it was at create: the template of an exec that names only its arguments.
pub fn container_process(root: &Root, id: &str) -> Result<Process, Fault> {
    let (_, folder) = Record::load(root, id)?;
    Record::spec(&folder).map(|spec| spec.process.unwrap_or_default())
}
