//! The calls that only our shim answers (`plimsoll.shim.v1.Shim`); others say Unimplemented.

use super::{QUICK, Shim, convert};
use plimsoll_fault::Result;
use plimsoll_proto::shim::{extension as wire, service};
use std::path::PathBuf;
use std::time::SystemTime;

/// How a process ended, from the shim that reaped it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ExitRecord {
    /// 128 + signal for a process that a signal ended.
    pub code: u32,
    pub at: Option<SystemTime>,
    pub started_at: Option<SystemTime>,
    pub oom_killed: bool,
    /// "OOMKilled", "Error" or "Completed".
    pub reason: String,
}

/// A process that the shim keeps.
#[derive(Clone, Debug)]
pub struct KeptProcess {
    pub id: String,
    /// Empty for the container's init.
    pub exec_id: String,
    pub pid: u32,
    pub bundle: PathBuf,
    pub started: bool,
    pub exit: Option<ExitRecord>,
}

impl Shim {
    /// Has the container's log files opened again by name, between two lines.
    pub async fn reopen_log(&self, id: &str) -> Result<()> {
        let message = wire::ReopenLogRequest { id: id.to_owned() };
        let _answer: wire::ReopenLogResponse =
            self.client.call(service::EXTENSION, "ReopenLog", &message, Some(QUICK)).await?;
        Ok(())
    }

    /// `None` while the process runs.
    pub async fn exit(&self, id: &str, exec_id: &str) -> Result<Option<ExitRecord>> {
        let message = wire::ExitRequest { id: id.to_owned(), exec_id: exec_id.to_owned() };
        let answer = self.client.call(service::EXTENSION, "Exit", &message, Some(QUICK)).await?;
        Ok(record(answer))
    }

    /// Everything the shim keeps: containers and execs, running or ended but not deleted.
    pub async fn list(&self) -> Result<Vec<KeptProcess>> {
        let answer: wire::ListResponse =
            self.client.call(service::EXTENSION, "List", &wire::ListRequest {}, Some(QUICK)).await?;
        Ok(answer.processes.into_iter().map(kept).collect())
    }
}

fn kept(process: wire::Process) -> KeptProcess {
    KeptProcess {
        id: process.id,
        exec_id: process.exec_id,
        pid: process.pid,
        bundle: PathBuf::from(process.bundle),
        started: process.started,
        exit: process.exit.and_then(record),
    }
}

fn record(answer: wire::ExitResponse) -> Option<ExitRecord> {
    answer.exited.then(|| ExitRecord {
        code: answer.exit_code,
        at: convert::time(answer.exited_at),
        started_at: convert::time(answer.started_at),
        oom_killed: answer.oom_killed,
        reason: answer.reason,
    })
}
