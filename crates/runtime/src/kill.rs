//! `kill`: a signal to a container's init or to all of its processes.

use crate::Root;
use crate::fault::At;
use crate::record::Record;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::process;
use rustix::io::Errno;

/// Sends `signal` (a Linux number) to the init, or with `all` to every process of the container's cgroup. A stopped
/// container is a `FailedPrecondition` fault whose text contains "container not running"; with `all` its left-over processes
/// get the signal all the same.
pub fn kill(root: &Root, id: &str, signal: i32, all: bool) -> Result<(), Fault> {
    let (record, _) = Record::load(root, id)?;
    let done = if all { everybody(&record, signal) } else { init(&record, signal) };
    done.map_err(|fault| fault.in_container(id))
}

pub(crate) fn init(record: &Record, signal: i32) -> Result<(), Fault> {
    let Some(pidfd) = record.pidfd() else { return Err(not_running()) };
    match process::signal(&pidfd, signal) {
        Ok(()) => Ok(()),
        Err(Errno::SRCH) => Err(not_running()),
        Err(error) => Err(error).at("kill", "pidfd_send_signal", "", || format!("cannot send signal {signal}")),
    }
}

fn not_running() -> Fault {
    Fault::new(Layer::OciRuntime, "kill", "container not running").kind(Kind::FailedPrecondition)
}

/// Every tree holds the same processes: one is asked.
pub(crate) fn everybody(record: &Record, signal: i32) -> Result<(), Fault> {
    let group = record.groups().next();
    let reached = match &group {
        Some(group) => group.kill(signal).at("kill", "kill", &group.path, || format!("cannot send signal {signal}"))?,
        None => 0,
    };
    if reached == 0 && !record.is_alive() { Err(not_running()) } else { Ok(()) }
}
