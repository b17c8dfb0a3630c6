//! `delete`: removes everything a container left: processes of its cgroup, cgroup, state; runs poststop hooks.

use crate::fault::{At, Os};
use crate::parent::undo::remove_groups;
use crate::record::Record;
use crate::{Root, hooks, kill};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::Status;
use plimsoll_sys::cgroup::write_file;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Signal;
use std::path::{Path, PathBuf};

/// How long a killed init may take to end.
const KILLED: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

/// Refuses a running container unless `force`, which kills it first and takes an absent container as deleted. A container
/// that is created but not started is killed without `force`, as runc does.
pub fn delete(root: &Root, id: &str, force: bool) -> Result<(), Fault> {
    let (record, folder) = match Record::load(root, id) {
        Ok(found) => found,
        Err(fault) if fault.class() == Kind::NotFound => return absent(root, id, force, fault),
        Err(fault) => return Err(fault),
    };
    steps(&record, &folder, force).map_err(|fault| fault.in_container(id))?;
    // The container is gone whatever its hooks say (runtime.md, "Lifecycle").
    let stopped = record.state_as(Status::Stopped);
    if let Err(fault) = hooks::run(&record.hooks.poststop, "/hooks/poststop", &stopped) {
        root.warn(&fault.to_string());
    }
    Ok(())
}

/// A folder without a record is what a creator that was killed left.
fn absent(root: &Root, id: &str, force: bool, fault: Fault) -> Result<(), Fault> {
    if !force {
        return Err(fault);
    }
    let folder = root.folder(id)?;
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).at("delete", "rmdir", &folder, || "cannot remove the state folder".into()),
    }
}

fn steps(record: &Record, folder: &Path, force: bool) -> Result<(), Fault> {
    let status = record.status(folder);
    if !matches!(status, Status::Stopped | Status::Created) && !force {
        let what = format!("cannot delete container {} that is not stopped: {status}", record.id);
        return Err(Fault::new(Layer::OciRuntime, "delete", what).kind(Kind::FailedPrecondition));
    }
    if status != Status::Stopped {
        end(record, status)?;
    }
    empty(record)?;
    let own: Vec<PathBuf> = record.cgroups.iter().map(|(_, path)| path.clone()).collect();
    remove_groups(&own, &record.made).map_err(|error| {
        let what = "cannot remove the container's cgroup";
        Fault::new(Layer::OciRuntime, "delete", what).os(
            "rmdir",
            own.first().map_or("", |p| p.to_str().unwrap_or("")),
            &error,
        )
    })?;
    std::fs::remove_dir_all(folder).at("delete", "rmdir", folder, || "cannot remove the state folder".into())
}

/// Kills the init and waits until it has ended (not until it is reaped: that is its parent's).
fn end(record: &Record, status: Status) -> Result<(), Fault> {
    let Some(pidfd) = record.pidfd() else { return Ok(()) };
    match kill::init(record, Signal::KILL.as_raw()) {
        Ok(()) => {}
        Err(fault) if fault.class() == Kind::FailedPrecondition => {}
        Err(fault) => return Err(fault),
    }
    // A frozen process dies only once it is thawed.
    if status == Status::Paused {
        thaw(record)?;
    }
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&KILLED)) {
            Ok(0) => {
                let fault = Fault::new(Layer::Kernel, "delete", "the killed init does not end");
                return Err(fault.kind(Kind::DeadlineExceeded));
            }
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error).at("delete", "poll", "", || "cannot wait for the init".into()),
        }
    }
}

fn thaw(record: &Record) -> Result<(), Fault> {
    for (controllers, path) in &record.cgroups {
        let done = match controllers.as_str() {
            "freezer" => write_file(path, "freezer.state", "THAWED"),
            "" => write_file(path, "cgroup.freeze", "0"),
            _ => Ok(()),
        };
        done.at("delete", "write", path, || "cannot thaw the container".into())?;
    }
    Ok(())
}

/// Without a pid namespace of its own, a container's other processes outlive its init.
fn empty(record: &Record) -> Result<(), Fault> {
    match kill::everybody(record, Signal::KILL.as_raw()) {
        Ok(()) => Ok(()),
        Err(fault) if fault.class() == Kind::FailedPrecondition => Ok(()),
        Err(fault) => Err(fault),
    }
}
