//! `ps`: the processes of a container, and where its cgroups are.

use crate::Root;
use crate::fault::At;
use crate::record::Record;
use plimsoll_fault::{Fault, Kind, Layer};
use rustix::process::Pid;
use std::path::PathBuf;

/// Every process of the container's cgroup, in the caller's pid namespace.
pub fn processes(root: &Root, id: &str) -> Result<Vec<Pid>, Fault> {
    let (record, _) = Record::load(root, id)?;
    let Some(group) = record.groups().next() else {
        let fault = Fault::new(Layer::OciRuntime, "ps", "the container has no cgroup: its processes are not known");
        return Err(fault.kind(Kind::FailedPrecondition).in_container(id));
    };
    group.all_processes().at("ps", "read", &group.path, || format!("cannot read the processes of {id}"))
}

/// The container's cgroup folders, each with its controllers joined by commas (empty for v2's one folder).
pub fn cgroups(root: &Root, id: &str) -> Result<Vec<(String, PathBuf)>, Fault> {
    Ok(Record::load(root, id)?.0.cgroups)
}
