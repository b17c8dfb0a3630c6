//! Small files in a bundle that outlive the shim: what its `delete` needs to clean up (of a container, of a pod), and how the
//! container ended.

use crate::io::{rfc3339_nanos, since_epoch};
use crate::oci::Runtime;
use crate::task::{ExitRecord, Process};
use serde::{Deserialize, Serialize};
use std::fs::{self, File};
use std::io::{self, Read};
use std::path::Path;
use std::time::{Duration, SystemTime, UNIX_EPOCH};

pub(crate) const TASK_FILE: &str = "plimsoll-task.json";
pub(crate) const EXIT_FILE: &str = "plimsoll-exit.json";
pub(crate) const SANDBOX_FILE: &str = "plimsoll-sandbox.json";

/// Longest of these files that is read back.
const LIMIT: u64 = 64 * 1024;

/// PID 1 of the pod's PID namespace. Written before it lives on its own.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct SandboxFile {
    /// Pids and times begin anew with it.
    pub(crate) boot: String,
    pub(crate) pid: i32,
    /// In clock ticks since boot: tells it from a later process of the same pid.
    pub(crate) start_time: u64,
}

#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct ExitFile {
    pub(crate) pid: u32,
    pub(crate) exit_code: u32,
    /// For people.
    pub(crate) exited_at: String,
    pub(crate) exited_at_nanos: u128,
    pub(crate) oom_killed: bool,
    pub(crate) reason: String,
}

impl ExitFile {
    pub(crate) fn at(&self) -> SystemTime {
        let nanos = u64::try_from(self.exited_at_nanos).unwrap_or(u64::MAX);
        UNIX_EPOCH + Duration::from_nanos(nanos)
    }
}

/// Written before anything of a container is made.
pub(crate) fn write_task(runtime: &Runtime) -> io::Result<()> {
    replace(&runtime.bundle.join(TASK_FILE), runtime)
}

pub(crate) fn write_sandbox(path: &Path, record: &SandboxFile) -> io::Result<()> {
    replace(path, record)
}

/// One that is not there is no error.
pub(crate) fn remove(path: &Path) -> io::Result<()> {
    match fs::remove_file(path) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
        _ => Ok(()),
    }
}

pub(crate) fn write_exit(bundle: &Path, process: &Process, exit: &ExitRecord) -> io::Result<()> {
    let at = since_epoch(exit.at);
    let record = ExitFile {
        pid: process.pid_number(),
        exit_code: exit.code,
        exited_at: rfc3339_nanos(at),
        exited_at_nanos: at.as_nanos(),
        oom_killed: exit.oom_killed,
        reason: exit.reason().to_owned(),
    };
    replace(&bundle.join(EXIT_FILE), &record)
}

/// `None` when the file is not there.
pub(crate) fn read<T: for<'de> Deserialize<'de>>(path: &Path) -> io::Result<Option<T>> {
    match read_bounded(path, LIMIT) {
        Ok(text) => Ok(Some(serde_json::from_slice(&text)?)),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(None),
        Err(error) => Err(error),
    }
}

pub(crate) fn read_bounded(path: &Path, limit: u64) -> io::Result<Vec<u8>> {
    whole(File::open(path)?, limit)
}

/// Everything that comes, if it is no more than `limit` bytes.
pub(crate) fn whole(from: impl Read, limit: u64) -> io::Result<Vec<u8>> {
    let mut text = Vec::new();
    from.take(limit + 1).read_to_end(&mut text)?;
    if text.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("over {limit} bytes")));
    }
    Ok(text)
}

/// Whole or not at all; the bundle is on a tmpfs or as volatile as the container is, so nothing is synced.
fn replace<T: Serialize>(path: &Path, record: &T) -> io::Result<()> {
    let begun = path.with_extension("json.new");
    fs::write(&begun, serde_json::to_vec(record)?)?;
    fs::rename(&begun, path)
}
