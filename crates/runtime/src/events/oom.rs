//! Out of memory, as the kernel says it: by `memory.events` on v2, by an eventfd on `memory.oom_control` on v1. Both also say
//! when the group has nobody left in it.

use super::running;
use crate::Root;
use crate::fault::At;
use crate::parent::limits::is_v2;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::cgroup::{read_file, write_file};
use rustix::event::{EventfdFlags, PollFd, PollFlags, Timespec, eventfd, poll};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// What one wait ended with.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Happened {
    /// The kernel ended a process of the container for want of memory.
    Oom,
    /// The container has no process any more.
    Ended,
    /// Nothing in the time given.
    Nothing,
}

/// Watches one container from now on.
#[derive(Debug)]
pub struct OomWatch {
    folder: PathBuf,
    kind: Watch,
}

#[derive(Debug)]
enum Watch {
    /// `memory.events`, `cgroup.events`, and how many processes had been ended when it was last read.
    V2 { memory: OwnedFd, group: OwnedFd, killed: u64 },
    /// The eventfd, the file that it is about, and a pidfd of the init.
    V1 { event: OwnedFd, _control: OwnedFd, init: OwnedFd },
}

impl OomWatch {
    /// A container that is stopped, or has no memory controller, is a `FailedPrecondition`.
    pub fn new(root: &Root, id: &str) -> Result<Self, Fault> {
        let record = running(root, id)?;
        let v2 = is_v2(&record.cgroups);
        let holds = |list: &str| v2 || list.split(',').any(|c| c == "memory");
        let found = record.cgroups.iter().find(|(controllers, _)| holds(controllers));
        let fault = |what: &str| Fault::new(Layer::Kernel, "oom", what).kind(Kind::FailedPrecondition).in_container(id);
        let folder = found.map(|(_, path)| path.clone()).ok_or_else(|| fault("memory controller missing"))?;
        let kind = if v2 {
            let (memory, group) = (open(&folder, "memory.events")?, open(&folder, "cgroup.events")?);
            Watch::V2 { killed: killed(&folder), memory, group }
        } else {
            let init = record.pidfd().ok_or_else(|| fault("the container ended just now"))?;
            register(&folder, init)?
        };
        Ok(Self { folder, kind })
    }

    /// Waits for at most `time`.
    pub fn wait(&mut self, time: Duration) -> Result<Happened, Fault> {
        let deadline = Instant::now() + time;
        loop {
            let left = deadline.saturating_duration_since(Instant::now());
            let happened = self.once(left)?;
            if happened != Happened::Nothing || left.is_zero() {
                return Ok(happened);
            }
        }
    }

    fn once(&mut self, time: Duration) -> Result<Happened, Fault> {
        let folder = &self.folder;
        match &mut self.kind {
            Watch::V2 { memory, group, killed: before } => {
                let happened = look(folder, before);
                if happened != Happened::Nothing {
                    return Ok(happened);
                }
                // A control file announces a change as an exceptional condition, until it is read.
                ready(&mut [PollFd::new(memory, PollFlags::PRI), PollFd::new(group, PollFlags::PRI)], time)?;
                refresh(memory);
                refresh(group);
                Ok(look(folder, before))
            }
            Watch::V1 { event, init, .. } => {
                let ready = ready(&mut [PollFd::new(event, PollFlags::IN), PollFd::new(init, PollFlags::IN)], time)?;
                // A group that is removed is announced too.
                if ready[0] && folder.join("cgroup.event_control").exists() {
                    let mut count = [0u8; 8];
                    rustix::io::read(&*event, &mut count)
                        .at("oom", "read", folder, || "cannot read the event".into())?;
                    return Ok(Happened::Oom);
                }
                Ok(if ready.contains(&true) { Happened::Ended } else { Happened::Nothing })
            }
        }
    }
}

fn killed(folder: &Path) -> u64 {
    let text = read_file(folder, "memory.events").unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")?.parse().ok()).unwrap_or(0)
}

fn look(folder: &Path, before: &mut u64) -> Happened {
    let now = killed(folder);
    if now > std::mem::replace(before, now) {
        return Happened::Oom;
    }
    // An absent folder is a container that was deleted.
    let empty = read_file(folder, "cgroup.events").map_or(true, |text| text.lines().any(|line| line == "populated 0"));
    if empty { Happened::Ended } else { Happened::Nothing }
}

fn refresh(file: &OwnedFd) {
    let mut buffer = [0u8; 512];
    // The content is read by name: only the descriptor's mark is wanted. A group that is gone says so when it is looked at.
    match rustix::io::pread(file, &mut buffer, 0) {
        Ok(_) | Err(_) => {}
    }
}

fn open(folder: &Path, file: &str) -> Result<OwnedFd, Fault> {
    let path = folder.join(file);
    let fd =
        rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
            .at("oom", "open", &path, || format!("cannot watch {file} of the container"))?;
    refresh(&fd);
    Ok(fd)
}

/// cgroup-v1/memory.rst, "OOM Control".
fn register(folder: &Path, init: OwnedFd) -> Result<Watch, Fault> {
    let control = open(folder, "memory.oom_control")?;
    let event = eventfd(0, EventfdFlags::CLOEXEC).at("oom", "eventfd", "", || "cannot make an event".into())?;
    let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
    write_file(folder, "cgroup.event_control", &line).at(
        "oom",
        "write",
        folder.join("cgroup.event_control"),
        || "cannot watch the container's memory".into(),
    )?;
    Ok(Watch::V1 { event, _control: control, init })
}

fn ready(fds: &mut [PollFd<'_>], time: Duration) -> Result<Vec<bool>, Fault> {
    let time = Timespec { tv_sec: time.as_secs().try_into().unwrap_or(i64::MAX), tv_nsec: time.subsec_nanos().into() };
    match poll(fds, Some(&time)) {
        Ok(_) | Err(Errno::INTR) => Ok(fds.iter().map(|fd| !fd.revents().is_empty()).collect()),
        Err(error) => Err(error).at("oom", "poll", "", || "cannot wait for events".into()),
    }
}
