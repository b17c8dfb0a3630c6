//! `kill`: a signal to a container's init or to all of its processes.

use crate::Root;
use crate::fault::At;
use crate::parent::limits::is_v2;
use crate::pause::Freezer;
use crate::record::Record;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::cgroup::Group;
use plimsoll_sys::process;
use rustix::io::Errno;

/// Sends `signal` (a Linux number) to the init, or with `all` to every process of the container's cgroup. A stopped
/// container is a `FailedPrecondition` fault whose text contains "container not running"; with `all` its left-over processes
/// get the signal all the same.
pub fn kill(root: &Root, id: &str, signal: i32, all: bool) -> Result<(), Fault> {
    let (record, _) = Record::load(root, id)?;
    // Without a pid namespace of its own nothing else ends the others when the init is killed.
    let everyone = all || (signal == KILL && !record.own_pid_namespace);
    let done = if everyone { everybody(&record, signal) } else { init(&record, signal) };
    done.map_err(|fault| fault.in_container(id))
}

const KILL: i32 = rustix::process::Signal::KILL.as_raw();

pub(crate) fn init(record: &Record, signal: i32) -> Result<(), Fault> {
    let Some(pidfd) = record.pidfd() else { return Err(not_running()) };
    match process::signal(&pidfd, signal) {
        // On v1 a frozen process dies only once it is thawed; on v2 it dies frozen.
        Ok(()) if signal == KILL => thaw_frozen(record),
        Ok(()) => Ok(()),
        Err(Errno::SRCH) => Err(not_running()),
        Err(error) => Err(error).at("kill", "pidfd_send_signal", "", || format!("cannot send signal {signal}")),
    }
}

fn not_running() -> Fault {
    Fault::new(Layer::OciRuntime, "kill", "container not running").kind(Kind::FailedPrecondition)
}

fn thaw_frozen(record: &Record) -> Result<(), Fault> {
    match Freezer::of(record) {
        Some(freezer) if !is_v2(&record.cgroups) && freezer.is_asked() => freezer.thaw(),
        _ => Ok(()),
    }
}

/// Every tree holds the same processes: one is asked.
pub(crate) fn everybody(record: &Record, signal: i32) -> Result<(), Fault> {
    let Some(group) = record.groups().next() else { return init(record, signal) };
    let reached = if signal == KILL && is_v2(&record.cgroups) {
        kill_v2(&group)?
    } else {
        standing_still(record, || send(&group, signal))?
    };
    if reached == 0 && !record.is_alive() { Err(not_running()) } else { Ok(()) }
}

/// One write ends every process, those being forked too (Linux 5.14).
fn kill_v2(group: &Group) -> Result<usize, Fault> {
    let populated = group.is_populated();
    match group.kill_now() {
        Ok(()) => Ok(usize::from(populated)),
        Err(Errno::NOENT | Errno::NODEV) => Ok(0),
        Err(error) => {
            Err(error).at("kill", "write", group.path.join("cgroup.kill"), || "cannot end the container".into())
        }
    }
}

fn send(group: &Group, signal: i32) -> Result<usize, Fault> {
    group.kill(signal).at("kill", "kill", &group.path, || format!("cannot send signal {signal}"))
}

/// Signals while nobody can fork: a list of processes is old when it has been read. What was frozen before stays so, except on
/// v1 when it is to die.
fn standing_still(record: &Record, signal: impl Fn() -> Result<usize, Fault>) -> Result<usize, Fault> {
    let Some(freezer) = Freezer::of(record).filter(|freezer| !freezer.is_asked()) else {
        let reached = signal()?;
        return thaw_frozen(record).map(|()| reached);
    };
    if freezer.freeze().is_err() {
        // An absent group has no processes; one that does not freeze gets what can be done without.
        return signal();
    }
    let reached = signal();
    freezer.thaw()?;
    reached
}
