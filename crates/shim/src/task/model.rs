//! A container and its processes, as the shim keeps them.

use crate::io::{ProcessIo, StdioSpec, since_epoch};
use crate::oci::Runtime;
use crate::oom::{Cgroup, OomWatch};
use crate::server::Reply;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::task as wire;
use prost_types::Timestamp;
use rustix::process::Pid;
use std::collections::BTreeMap;
use std::time::{Instant, SystemTime};

/// A process: a container's init (`exec_id` empty) or one of its execs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Key {
    pub(crate) id: String,
    pub(crate) exec_id: String,
}

impl Key {
    pub(crate) fn new(id: &str, exec_id: &str) -> Self {
        Self { id: id.to_owned(), exec_id: exec_id.to_owned() }
    }

    pub(crate) fn init(id: &str) -> Self {
        Self::new(id, "")
    }
}

/// How a process ended. `code` is 128 + signal for one that a signal ended.
#[derive(Clone, Copy, Debug)]
pub(crate) struct ExitRecord {
    pub(crate) code: u32,
    pub(crate) at: SystemTime,
    pub(crate) oom_killed: bool,
}

impl ExitRecord {
    pub(crate) fn reason(&self) -> &'static str {
        match (self.code, self.oom_killed) {
            (0, _) => "Completed",
            (_, true) => "OOMKilled",
            (_, false) => "Error",
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Phase {
    /// The worker that makes it has not reported yet; an exec that has not been started.
    Creating,
    Created,
    Running,
    Stopped,
}

#[derive(Debug, Default)]
pub(crate) struct Process {
    /// Set once it exists; a child of the shim, so the number is not reused before the shim has reaped it.
    pub(crate) pid: Option<Pid>,
    pub(crate) stdio: StdioSpec,
    pub(crate) io: ProcessIo,
    /// Streams in the server's loop.
    pub(crate) outputs: Vec<u32>,
    pub(crate) inputs: Vec<u32>,
    /// A program that reads its output, as long as it is not known to have ended.
    pub(crate) logger: Option<Pid>,
    /// An OCI `Process` as JSON, for an exec.
    pub(crate) spec: Vec<u8>,
    pub(crate) started_at: Option<SystemTime>,
    pub(crate) exit: Option<ExitRecord>,
    pub(crate) waiters: Vec<Reply>,
    /// A Start is under way; an end that is seen meanwhile is held until it has been answered.
    pub(crate) starting: bool,
    pub(crate) held_exit: Option<(u32, SystemTime)>,
    /// A Delete is under way: who waits, and (once its worker is done) how long output may take to be written.
    pub(crate) delete_reply: Option<Reply>,
    pub(crate) drain_until: Option<Instant>,
}

/// The answer to Wait, with what an exit event says besides.
#[derive(Clone, Debug)]
pub(crate) struct ExitAnswer {
    pub(crate) wait: wire::WaitResponse,
    pub(crate) pid: u32,
}

impl Process {
    pub(crate) fn new(stdio: StdioSpec) -> Self {
        Self { stdio, ..Self::default() }
    }

    pub(crate) fn is(&self, pid: Pid) -> bool {
        self.pid == Some(pid) && self.exit.is_none()
    }

    pub(crate) fn pid_number(&self) -> u32 {
        self.pid.map_or(0, |pid| pid.as_raw_nonzero().get().cast_unsigned())
    }

    pub(crate) fn phase(&self) -> Phase {
        match (self.pid, self.started_at, &self.exit) {
            (_, _, Some(_)) => Phase::Stopped,
            (None, ..) => Phase::Creating,
            (Some(_), None, None) => Phase::Created,
            (Some(_), Some(_), None) => Phase::Running,
        }
    }

    /// `None` while it has not ended.
    pub(crate) fn wait_response(&self) -> Option<ExitAnswer> {
        let exit = self.exit?;
        let wait = wire::WaitResponse { exit_status: exit.code, exited_at: Some(timestamp(exit.at)) };
        Some(ExitAnswer { wait, pid: self.pid_number() })
    }
}

#[derive(Debug)]
pub(crate) struct Task {
    pub(crate) runtime: Runtime,
    pub(crate) init: Process,
    pub(crate) execs: BTreeMap<String, Process>,
    /// Its PID namespace is another's, so its processes outlive its init unless they are killed.
    pub(crate) shares_pids: bool,
    /// The shim mounted the rootfs and unmounts it.
    pub(crate) mounted: bool,
    /// By Pause; its processes exist and do nothing.
    pub(crate) paused: bool,
    pub(crate) cgroup: Option<Cgroup>,
    pub(crate) oom_watch: Option<OomWatch>,
}

impl Task {
    pub(crate) fn processes(&self) -> impl Iterator<Item = &Process> {
        std::iter::once(&self.init).chain(self.execs.values())
    }
}

/// Both ends of the contract say "not yet" with the zero time.
pub(crate) fn timestamp(at: SystemTime) -> Timestamp {
    let time = since_epoch(at);
    Timestamp {
        seconds: i64::try_from(time.as_secs()).unwrap_or(i64::MAX),
        nanos: i32::try_from(time.subsec_nanos()).unwrap_or(0),
    }
}

/// The process is not in the phase that the call needs.
pub(crate) fn wrong_phase(key: &Key, what: &str) -> Fault {
    let fault = Fault::new(Layer::Shim, "lookup", what).kind(Kind::FailedPrecondition).in_container(&key.id);
    if key.exec_id.is_empty() { fault } else { fault.in_exec(&key.exec_id) }
}
