//! A process beside the task's own, with its output captured: bounded, and drained with a budget after its end.

use crate::shim::{ExecTask, Shim, Stdio};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::Duration;
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Output kept of both streams together (CVE-2022-23471 and its kin are unbounded ones): what fits into one CRI message of
/// 16 MiB. What is past it is read and dropped.
const OUTPUT: usize = (16 << 20) - (64 << 10);
/// How long output may come after the process has ended: children may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_secs(2);

pub(crate) struct Captured {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) exit_code: u32,
}

/// Runs `process` (an OCI `Process` as JSON) in task `id`. `folder` must not exist; it holds the FIFOs and is removed.
pub(crate) async fn capture(
    shim: &Shim,
    id: &str,
    exec_id: &str,
    process: &[u8],
    folder: &Path,
    timeout: Option<Duration>,
) -> Result<Captured> {
    let pipes = Pipes::open(folder)?;
    let stdio = Stdio { stdout: pipes.path("stdout"), stderr: pipes.path("stderr"), ..Stdio::default() };
    let readers = (pipes.reader("stdout")?, pipes.reader("stderr")?);
    shim.exec(ExecTask { id, exec_id, process, stdio: &stdio }).await?;
    let ran = run(shim, id, exec_id, readers, timeout).await;
    let forgotten = shim.delete(id, exec_id).await;
    match (ran, forgotten) {
        (Ok(captured), Ok(_)) => Ok(captured),
        (Ok(captured), Err(fault)) => {
            tracing::warn!(id, exec_id, %fault, "an ended exec could not be deleted");
            Ok(captured)
        }
        (Err(fault), _) => Err(fault.in_container(id).in_exec(exec_id)),
    }
}

async fn run(
    shim: &Shim,
    id: &str,
    exec_id: &str,
    (mut stdout, mut stderr): (pipe::Receiver, pipe::Receiver),
    timeout: Option<Duration>,
) -> Result<Captured> {
    shim.start(id, exec_id).await?;
    let limit = timeout.unwrap_or(Duration::from_secs(365 * 24 * 3600));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let room = AtomicUsize::new(OUTPUT);
    let exit = {
        let streams = async { tokio::join!(read(&mut stdout, &mut out, &room), read(&mut stderr, &mut err, &room)) };
        tokio::pin!(streams);
        let waited = tokio::time::timeout(limit, async {
            tokio::select! {
                exit = shim.wait(id, exec_id) => (exit, false),
                _ = &mut streams => (shim.wait(id, exec_id).await, true),
            }
        });
        match waited.await {
            Ok((exit, drained)) => {
                if !drained && tokio::time::timeout(DRAIN, &mut streams).await.is_err() {
                    tracing::debug!(id, exec_id, "output is still held open after the end of the process");
                }
                exit?
            }
            Err(_) => return Err(expired(shim, id, exec_id, limit).await),
        }
    };
    Ok(Captured { stdout: out, stderr: err, exit_code: exit.code })
}

async fn read(pipe: &mut pipe::Receiver, kept: &mut Vec<u8>, room: &AtomicUsize) {
    let mut chunk = vec![0; 65536];
    while let Ok(count @ 1..) = pipe.read(&mut chunk).await {
        // Both readers run in one task: nobody else changes it between the two lines.
        let take = count.min(room.load(Ordering::Relaxed));
        room.fetch_sub(take, Ordering::Relaxed);
        kept.extend_from_slice(&chunk[..take]);
    }
}

/// Kills the process and waits a moment for its end, so that it can be deleted.
async fn expired(shim: &Shim, id: &str, exec_id: &str, limit: Duration) -> Fault {
    let what = format!("the command did not end within {} s; it was killed", limit.as_secs_f32());
    let fault = Fault::new(Layer::Caller, "exec", what).kind(Kind::DeadlineExceeded);
    if let Err(second) = shim.kill(id, exec_id, 9, false).await {
        return fault.why(format!("and killing it failed: {second}"));
    }
    match tokio::time::timeout(DRAIN, shim.wait(id, exec_id)).await {
        Ok(Ok(_)) => fault,
        Ok(Err(second)) => fault.why(second.to_string()),
        Err(_) => fault.why("it has not ended after SIGKILL"),
    }
}

/// Two FIFOs in a private folder, removed with the value.
struct Pipes {
    folder: PathBuf,
}

impl Pipes {
    fn open(folder: &Path) -> Result<Self> {
        let fault = |e: &std::io::Error| {
            Fault::new(Layer::Daemon, "exec", format!("cannot make pipes in {}", folder.display())).because(e)
        };
        std::fs::DirBuilder::new().mode(0o700).create(folder).map_err(|e| fault(&e))?;
        let pipes = Self { folder: folder.to_owned() };
        for name in ["stdout", "stderr"] {
            plimsoll_sys::fifo::create(&folder.join(name)).map_err(|e| fault(&e))?;
        }
        Ok(pipes)
    }

    fn path(&self, name: &str) -> String {
        self.folder.join(name).to_string_lossy().into_owned()
    }

    /// Opened before the shim opens the other end; read only after that, so that "no writer yet" is not taken for the end.
    fn reader(&self, name: &str) -> Result<pipe::Receiver> {
        pipe::OpenOptions::new()
            .open_receiver(self.folder.join(name))
            .map_err(|e| Fault::new(Layer::Daemon, "exec", "cannot open a pipe for the output").because(&e))
    }
}

impl Drop for Pipes {
    fn drop(&mut self) {
        if let Err(error) = std::fs::remove_dir_all(&self.folder) {
            tracing::warn!(folder = %self.folder.display(), %error, "the pipes of an exec were not removed");
        }
    }
}
