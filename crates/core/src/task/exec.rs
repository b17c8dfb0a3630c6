//! A process beside the task's own, with its output captured: bounded, and drained with a budget after its end.

use crate::shim::{self, ExecTask, ProcessStatus, Shim, Stdio};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::convert::Infallible;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicUsize, Ordering};
use std::time::{Duration, Instant};
use tokio::io::AsyncReadExt;
use tokio::net::unix::pipe;

/// Output kept of both streams together (CVE-2022-23471 and its kin are unbounded ones): what fits into one CRI message of
/// 16 MiB. What is past it is read and dropped.
const OUTPUT: usize = (16 << 20) - (64 << 10);
/// How long output may come after the process has ended: children may hold the pipe open for ever.
const DRAIN: Duration = Duration::from_secs(2);

/// How much longer than the command's own time the shim may take to run it at all, when that time is limited.
const SETUP: Duration = Duration::from_secs(10);
/// How long the kernel may take to end what was killed, while the shim answers.
const DEATH: Duration = Duration::from_secs(60);
/// How long a caller waits for the end of an exec that is killed: longer than the shim holds a delete up for output that
/// is still on its way (2 s).
const ENDING: Duration = Duration::from_secs(3);
/// How long the shim may take to say whether a process runs.
const WORD: Duration = Duration::from_secs(1);
const PAUSE: Duration = Duration::from_millis(20);
const SIGKILL: u32 = 9;

pub(crate) struct Captured {
    pub(crate) stdout: Vec<u8>,
    pub(crate) stderr: Vec<u8>,
    pub(crate) exit_code: u32,
}

/// Runs `process` (an OCI `Process` as JSON) in task `id`. `folder` must not exist; it holds the FIFOs and is removed.
/// A process that does not end within `timeout` is killed; so is one whose caller drops this future.
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
    let mut output = Output { stdout: pipes.reader("stdout")?, stderr: pipes.reader("stderr")? };
    let exec = Exec(Some(Asked { shim: shim.clone(), id: id.to_owned(), exec_id: exec_id.to_owned(), pipes }));
    let begun = begin(shim, ExecTask { id, exec_id, process, stdio: &stdio }, timeout).await;
    let ran = match begun {
        Ok(()) => run(shim, id, exec_id, &mut output, timeout).await,
        Err(fault) => Err(fault),
    };
    match (ran, exec.end(output).await) {
        (Ok(captured), Ok(())) => Ok(captured),
        (Ok(captured), Err(fault)) => {
            tracing::warn!(id, exec_id, %fault, "an ended exec could not be deleted");
            Ok(captured)
        }
        (Err(fault), ended) => {
            let fault = fault.in_container(id).in_exec(exec_id);
            Err(ended.err().into_iter().fold(fault, |fault, second| fault.why(second.to_string())))
        }
    }
}

async fn begin(shim: &Shim, exec: ExecTask<'_>, timeout: Option<Duration>) -> Result<()> {
    let (id, exec_id) = (exec.id, exec.exec_id);
    let begun = async {
        shim.exec(exec).await?;
        shim.start(id, exec_id).await.map(|_pid| ())
    };
    let Some(limit) = timeout.map(|limit| limit.saturating_add(SETUP)) else { return begun.await };
    tokio::time::timeout(limit, begun).await.unwrap_or_else(|_late| {
        let what = format!("the shim did not run the command within {} s", limit.as_secs_f32());
        Err(Fault::new(Layer::Shim, "exec", what).kind(Kind::DeadlineExceeded))
    })
}

async fn run(shim: &Shim, id: &str, exec_id: &str, output: &mut Output, timeout: Option<Duration>) -> Result<Captured> {
    let limit = timeout.unwrap_or(Duration::from_secs(365 * 24 * 3600));
    let (mut out, mut err) = (Vec::new(), Vec::new());
    let room = AtomicUsize::new(OUTPUT);
    let exit = {
        let Output { stdout, stderr } = output;
        let streams = async { tokio::join!(read(stdout, &mut out, &room), read(stderr, &mut err, &room)) };
        tokio::pin!(streams);
        let waited = tokio::time::timeout(limit, async {
            tokio::select! {
                exit = shim.wait(id, exec_id) => (exit, false),
                _ = &mut streams => (shim.wait(id, exec_id).await, true),
            }
        });
        let Ok((exit, drained)) = waited.await else {
            let what = format!("the command did not end within {} s; it is killed", limit.as_secs_f32());
            return Err(Fault::new(Layer::Caller, "exec", what).kind(Kind::DeadlineExceeded));
        };
        if !drained && tokio::time::timeout(DRAIN, &mut streams).await.is_err() {
            tracing::debug!(id, exec_id, "output is still held open after the end of the process");
        }
        exit?
    };
    Ok(Captured { stdout: out, stderr: err, exit_code: exit.code })
}

/// An exec that the shim was asked for. It is ended and forgotten whatever becomes of whoever asked: dropping this does it
/// beside everything else.
struct Exec(Option<Asked>);

impl Exec {
    /// Waits a moment for the end, which comes about also when that was too short. Output is read and dropped meanwhile:
    /// the shim would wait for it to be taken.
    async fn end(mut self, output: Output) -> Result<()> {
        let Some(asked) = self.0.take() else { return Ok(()) };
        let (shim, id, exec_id) = (asked.shim.clone(), asked.id.clone(), asked.exec_id.clone());
        let ending = tokio::time::timeout(ENDING, tokio::spawn(asked.end()));
        let ended = tokio::select! {
            ended = ending => ended,
            never = output.discard() => match never {},
        };
        match ended {
            Ok(Ok(ended)) => ended,
            Ok(Err(panic)) => Err(Fault::new(Layer::Daemon, "exec", "the end of an exec died").because(&panic)),
            Err(_late) => Err(unended(&shim, &id, &exec_id).await),
        }
    }
}

/// Who holds up the end of a killed exec: the kernel only if the shim, which reaps it, says that it still runs.
async fn unended(shim: &Shim, id: &str, exec_id: &str) -> Fault {
    let state = tokio::time::timeout(WORD, shim.state(id, exec_id)).await;
    let seconds = ENDING.as_secs();
    let (layer, what) = match state {
        Ok(Ok(state)) if state.status == ProcessStatus::Running => {
            (Layer::Kernel, format!("the process has not ended {seconds} s after SIGKILL"))
        }
        Ok(_) => (Layer::Shim, format!("the process has ended, but the shim has not forgotten it within {seconds} s")),
        Err(_) => (Layer::Shim, "the shim does not answer; the process is ended once it does".to_owned()),
    };
    Fault::new(layer, "exec", what).kind(Kind::DeadlineExceeded)
}

impl Drop for Exec {
    fn drop(&mut self) {
        let Some(asked) = self.0.take() else { return };
        tokio::spawn(async move {
            let (id, exec_id) = (asked.id.clone(), asked.exec_id.clone());
            match asked.end().await {
                Ok(()) => tracing::info!(id, exec_id, "killed an exec whose caller has gone"),
                Err(fault) => tracing::warn!(id, exec_id, %fault, "an exec whose caller has gone was not ended"),
            }
        });
    }
}

struct Asked {
    shim: Shim,
    id: String,
    exec_id: String,
    pipes: Pipes,
}

impl Asked {
    /// Has the shim forget the process, which it does once that has ended or if it never ran; until then kills it. A shim
    /// that is silent is asked again for as long as it lives.
    async fn end(self) -> Result<()> {
        let Self { shim, id, exec_id, pipes } = self;
        let mut refused: Option<Instant> = None;
        let ended = loop {
            match shim.delete(&id, &exec_id).await {
                Ok(_) => break Ok(()),
                Err(fault) if fault.class() == Kind::NotFound => break Ok(()),
                Err(fault) if !shim.is_open() => break Err(fault),
                Err(fault) if shim::silent(&fault) => tracing::debug!(id, exec_id, %fault, "ending an exec"),
                Err(fault) if refused.get_or_insert_with(Instant::now).elapsed() > DEATH => break Err(fault),
                Err(_) => {}
            }
            // It may not run yet, or not any more.
            if let Err(fault) = shim.kill(&id, &exec_id, SIGKILL, false).await {
                tracing::debug!(id, exec_id, %fault, "killing an exec");
            }
            tokio::time::sleep(PAUSE).await;
        };
        drop(pipes);
        ended
    }
}

struct Output {
    stdout: pipe::Receiver,
    stderr: pipe::Receiver,
}

impl Output {
    /// Reads for as long as it is polled, also when nobody writes yet.
    async fn discard(mut self) -> Infallible {
        let mut chunks = (vec![0; 65536], vec![0; 65536]);
        loop {
            let read = tokio::select! {
                read = self.stdout.read(&mut chunks.0) => read,
                read = self.stderr.read(&mut chunks.1) => read,
            };
            if !matches!(read, Ok(1..)) {
                tokio::time::sleep(PAUSE).await;
            }
        }
    }
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
