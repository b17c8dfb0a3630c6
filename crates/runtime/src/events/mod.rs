//! `events`: what a container uses, and when it runs out of memory.

mod oom;
mod read;
mod stats;
mod v1;
mod v2;

pub use oom::{Happened, OomWatch};
pub use stats::Stats;

use crate::Root;
use crate::parent::limits::is_v2;
use crate::record::Record;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::Status;

/// The figures of a container that is not stopped.
pub fn stats(root: &Root, id: &str) -> Result<Stats, Fault> {
    let record = running(root, id)?;
    if record.cgroups.is_empty() {
        let fault = Fault::new(Layer::OciRuntime, "stats", "the container has no cgroup of its own to be measured by");
        return Err(fault.kind(Kind::FailedPrecondition).in_container(id));
    }
    Ok(if is_v2(&record.cgroups) { v2::stats(&record.cgroups[0].1) } else { v1::stats(&record.cgroups) })
}

fn running(root: &Root, id: &str) -> Result<Record, Fault> {
    let (record, folder) = Record::load(root, id)?;
    if record.status(&folder) != Status::Stopped {
        return Ok(record);
    }
    let what = format!("container with id {id} is not running");
    Err(Fault::new(Layer::OciRuntime, "stats", what).kind(Kind::FailedPrecondition).in_container(id))
}
