//! What a worker says over its pipe: one JSON object a line.

use plimsoll_fault::Fault;
use rustix::io::Errno;
use serde::{Deserialize, Serialize};
use std::os::fd::OwnedFd;

/// Longest text of one report; a longer one is a bug of the worker and ends it.
pub(crate) const LIMIT: usize = 256 * 1024;

/// The table of the protocol: any number of `Stage`, then one of the others, then the end of the pipe.
#[derive(Debug, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub(crate) enum Report {
    Stage(String),
    Done(Outcome),
    Failed(Fault),
}

/// What a worker made. Which fields have a meaning depends on the job.
#[derive(Clone, Debug, Default, Serialize, Deserialize)]
#[serde(default)]
pub(crate) struct Outcome {
    /// The process that was made, in the shim's PID namespace.
    pub(crate) pid: i32,
    /// The container shares its PID namespace, so its other processes outlive its init unless they are killed.
    pub(crate) shares_pids: bool,
    /// The program that reads its output; 0 without one.
    pub(crate) logger: i32,
}

/// How a worker ended.
#[derive(Debug)]
pub(crate) enum End {
    Done(Outcome),
    /// It says so itself, and has undone what it had made.
    Failed(Fault),
    /// It died, or was killed, in `stage`: what it had made is still there.
    Lost {
        fault: Fault,
        stage: String,
    },
}

impl End {
    pub(crate) fn result(self) -> Result<Outcome, Fault> {
        match self {
            Self::Done(outcome) => Ok(outcome),
            Self::Failed(fault) | Self::Lost { fault, .. } => Err(fault),
        }
    }
}

/// The worker's end of the pipe.
#[derive(Debug)]
pub(crate) struct Reporter {
    pipe: OwnedFd,
}

impl Reporter {
    pub(crate) fn new(pipe: OwnedFd) -> Self {
        Self { pipe }
    }

    pub(crate) fn pipe(&self) -> &OwnedFd {
        &self.pipe
    }

    /// Says what is under way, for the fault of a deadline.
    pub(crate) fn stage(&mut self, name: &str) {
        self.send(&Report::Stage(name.to_owned()));
    }

    /// A pipe that the shim no longer reads means that the shim is gone; the worker's end is near and nobody is left to tell.
    pub(crate) fn send(&mut self, report: &Report) {
        let Ok(mut line) = serde_json::to_vec(report) else { return };
        line.push(b'\n');
        let mut rest = line.as_slice();
        while !rest.is_empty() {
            match rustix::io::write(&self.pipe, rest) {
                Ok(count) => rest = &rest[count..],
                Err(Errno::INTR) => {}
                Err(_) => return,
            }
        }
    }
}
