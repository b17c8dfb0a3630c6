//! `delete`: removes everything a container left: processes of its cgroup, cgroup, state; runs poststop hooks.

use crate::fault::At;
use crate::hooks::Place;
use crate::parent::cgroup::locate;
use crate::parent::rdt;
use crate::parent::undo::remove_groups;
use crate::record::Record;
use crate::{Created, Root, hooks, kill};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::{Spec, Status};
use plimsoll_sys::cgroup::Group;
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
    whole(root, &record, &folder, force)
}

/// `delete --force` of what [`crate::run`] made, once it has ended. What was kept of it is read again only if somebody has
/// written it since.
pub fn delete_ended(root: &Root, id: &str, created: &Created) -> Result<(), Fault> {
    let folder = root.folder(id)?;
    match &created.published {
        Some(published) if published.is_current(&folder) => whole(root, &published.record, &folder, true),
        _ => delete(root, id, true),
    }
}

fn whole(root: &Root, record: &Record, folder: &Path, force: bool) -> Result<(), Fault> {
    steps(record, folder, force).map_err(|fault| fault.in_container(&record.id))?;
    // The container is gone whatever its hooks say (runtime.md, "Lifecycle").
    if let Err(fault) = poststop(record) {
        root.warn(&fault.to_string());
    }
    Ok(())
}

/// The container is gone: its last hooks.
pub(crate) fn poststop(record: &Record) -> Result<(), Fault> {
    let place = Place::Runtime { bundle: &record.bundle };
    hooks::run(&record.hooks.poststop, "/hooks/poststop", &record.state_as(Status::Stopped), place)
}

/// A folder without a record is what a creator that was killed left, perhaps with a cgroup and processes in it.
fn absent(root: &Root, id: &str, force: bool, fault: Fault) -> Result<(), Fault> {
    if !force {
        return Err(fault);
    }
    let folder = root.folder(id)?;
    if let Some(record) = Record::unfinished(&folder) {
        return steps(&record, &folder, true);
    }
    if let Ok(spec) = Record::spec(&folder) {
        abandoned(&spec, id, Record::owns_cgroup(&folder))?;
    }
    match std::fs::remove_dir_all(&folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
        Err(error) => Err(error).at("delete", "rmdir", &folder, || "cannot remove the state folder".into()),
    }
}

/// The cgroup of a creator that was killed before it had a process on record. If it is not known to be `owned`, others may be in
/// it: it goes only if it is empty.
fn abandoned(spec: &Spec, id: &str, owned: bool) -> Result<(), Fault> {
    let given = spec.linux.as_ref().and_then(|linux| linux.cgroups_path.as_deref()).filter(|p| !p.is_empty());
    let own = locate(given, id)?;
    if !owned {
        // Which of them the creator had made, if any, is not known: one that is in use or gone is none of ours.
        for path in own {
            match rustix::fs::rmdir(path) {
                Ok(()) | Err(_) => {}
            }
        }
        return Ok(());
    }
    let what = || "cannot remove what an interrupted create left".to_owned();
    if let Some(path) = own.first() {
        let group = Group { path: path.clone() };
        if group.kill_now().is_err() {
            group.kill(Signal::KILL.as_raw()).at("delete", "kill", path, what)?;
        }
    }
    remove_groups(&own, &[]).at("delete", "rmdir", own.first().map_or(Path::new(""), PathBuf::as_path), what)
}

fn steps(record: &Record, folder: &Path, force: bool) -> Result<(), Fault> {
    let status = record.status(folder);
    if !matches!(status, Status::Stopped | Status::Created) && !force {
        let what = format!("cannot delete container {} that is not stopped: {status}", record.id);
        return Err(Fault::new(Layer::OciRuntime, "delete", what).kind(Kind::FailedPrecondition));
    }
    if status != Status::Stopped {
        end(record)?;
    }
    let own: Vec<PathBuf> = record.cgroups.iter().map(|(_, path)| path.clone()).collect();
    // A group that can be removed has nobody in it who would have to be looked for.
    let gone = |path: &PathBuf| matches!(rustix::fs::rmdir(path), Ok(()) | Err(Errno::NOENT));
    let left: Vec<PathBuf> = own.iter().filter(|path| !gone(path)).cloned().collect();
    if !left.is_empty() {
        empty(record)?;
    }
    let above: Vec<PathBuf> = record.made.iter().filter(|path| !own.contains(path)).cloned().collect();
    if let Some(unit) = &record.unit {
        unit.stop()?;
    }
    let first = own.first().map_or(Path::new(""), PathBuf::as_path);
    remove_groups(&left, &above).at("delete", "rmdir", first, || "cannot remove the container's cgroup".into())?;
    rdt::remove(record.rdt.as_ref())?;
    Record::remove(folder).at("delete", "rmdir", folder, || "cannot remove the state folder".into())
}

/// Kills the init and waits until it has ended (not until it is reaped: that is its parent's).
fn end(record: &Record) -> Result<(), Fault> {
    let Some(pidfd) = record.pidfd() else { return Ok(()) };
    match kill::init(record, Signal::KILL.as_raw()) {
        Ok(()) => {}
        Err(fault) if fault.class() == Kind::FailedPrecondition => {}
        Err(fault) => return Err(fault),
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

/// Without a pid namespace of its own, a container's other processes outlive its init.
fn empty(record: &Record) -> Result<(), Fault> {
    match kill::everybody(record, Signal::KILL.as_raw()) {
        Ok(()) => Ok(()),
        Err(fault) if fault.class() == Kind::FailedPrecondition => Ok(()),
        Err(fault) => Err(fault),
    }
}
