//! A forked worker: does one thing that may hang (create, exec, a hook, a mount) and reports over a pipe, line by line,
//! which stage it is in and how it ended. The server gives it a deadline and kills its process group when that has passed.
//! One that ends without a word is known by its end as a process: what it made may hold the pipe open.

mod job;
mod report;
mod spawn;
pub(crate) mod tree;

pub(crate) use job::Job;
pub(crate) use report::{End, LIMIT as REPORT_LIMIT, Outcome, Report, Reporter};
pub(crate) use spawn::spawn;

use plimsoll_fault::Fault;
use rustix::process::{Pid, Signal};
use std::os::fd::OwnedFd;
use std::time::{Duration, Instant};

/// How long each act may take before its worker is killed.
pub(crate) mod limits {
    use std::time::Duration;

    /// Includes createRuntime and createContainer hooks, and mounting the rootfs.
    pub(crate) const CREATE: Duration = Duration::from_secs(120);
    /// Includes startContainer and poststart hooks.
    pub(crate) const START: Duration = Duration::from_secs(60);
    pub(crate) const EXEC: Duration = Duration::from_secs(60);
    pub(crate) const KILL: Duration = Duration::from_secs(30);
    pub(crate) const FREEZE: Duration = Duration::from_secs(30);
    pub(crate) const UPDATE: Duration = Duration::from_secs(30);
    /// Includes poststop hooks.
    pub(crate) const DELETE: Duration = Duration::from_secs(60);
    pub(crate) const SANDBOX: Duration = Duration::from_secs(30);
}

#[derive(Debug)]
pub(crate) struct Worker {
    pub(crate) pid: Pid,
    /// Non-blocking.
    pub(crate) pipe: OwnedFd,
    /// Bytes of a report line that is not whole yet.
    pub(crate) text: Vec<u8>,
    pub(crate) stage: String,
    pub(crate) started: Instant,
    pub(crate) limit: Duration,
    pub(crate) job: Job,
    /// Why it was killed; it is finished once it has been reaped.
    pub(crate) given_up: Option<Fault>,
}

impl Worker {
    pub(crate) fn deadline(&self) -> Instant {
        self.started + self.limit
    }

    /// Kills what the worker has begun and that has left its process group. While the worker lives, it is known by its parents.
    pub(crate) fn kill_descendants(&self) {
        tree::kill(self.pid);
    }

    /// Kills the worker with every program it runs (hooks). What it made is for the job to clean up.
    pub(crate) fn kill(&self) -> rustix::io::Result<()> {
        rustix::process::kill_process_group(self.pid, Signal::KILL)
    }
}
