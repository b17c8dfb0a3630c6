//! An OCI runtime by its command line, as runc(8) has it. Its log says why it failed; its standard error does too where that is
//! not the container's own.

use super::console::Console;
use super::said;
use crate::worker::tree;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::runc;
use plimsoll_runtime::Stdio as ProcessStdio;
use plimsoll_spec::runtime::State;
use plimsoll_sys::process;
use rustix::fs::{MemfdFlags, memfd_create};
use rustix::process::{Pid, Signal};
use std::ffi::OsStr;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

/// What is said of a runtime's output at most, in bytes.
const LIMIT: u64 = 64 * 1024;

#[derive(Debug)]
pub(super) struct Program<'a> {
    pub(super) file: &'a Path,
    pub(super) root: &'a Path,
    pub(super) systemd_cgroup: bool,
    pub(super) bundle: &'a Path,
}

impl Program<'_> {
    pub(super) fn create(&self, id: &str, options: &runc::Options, stdio: ProcessStdio) -> Result<i32, Fault> {
        let mut call = self.call("create")?;
        call.command.arg("--bundle").arg(self.bundle);
        if options.no_pivot_root {
            call.command.arg("--no-pivot");
        }
        if options.no_new_keyring {
            call.command.arg("--no-new-keyring");
        }
        // A container that nobody will know is not kept.
        call.make(id, stdio)?.told().inspect_err(|_| drop(self.delete(id)))
    }

    pub(super) fn exec(&self, id: &str, process: &[u8], stdio: ProcessStdio) -> Result<i32, Fault> {
        let mut call = self.call("exec")?;
        let file = call.file("process", process)?;
        call.command.arg("--detach").arg("--process").arg(file);
        let made = call.make(id, stdio)?;
        let pid = made.pid();
        made.told().inspect_err(|_| pid.into_iter().for_each(kill))
    }

    pub(super) fn plain(&self, verb: &'static str, id: &str) -> Result<(), Fault> {
        self.call(verb)?.end([id]).map(drop)
    }

    pub(super) fn kill_all(&self, id: &str, signal: i32) -> Result<(), Fault> {
        self.call("kill")?.end(["--all", id, &signal.to_string()]).map(drop)
    }

    pub(super) fn update(&self, id: &str, resources: &[u8]) -> Result<(), Fault> {
        let mut call = self.call("update")?;
        let file = call.file("resources", resources)?;
        call.command.arg("--resources").arg(file);
        call.end([id]).map(drop)
    }

    pub(super) fn delete(&self, id: &str) -> Result<(), Fault> {
        match self.call("delete")?.end(["--force", id]) {
            Err(fault) if fault.class() != Kind::NotFound => Err(fault),
            _ => Ok(()),
        }
    }

    pub(super) fn pid(&self, id: &str) -> Result<i32, Fault> {
        let call = self.call("state")?;
        let text = call.end([id])?;
        let state: State = serde_json::from_slice(&text)
            .map_err(|e| fault("state", format!("{} gives no state", self.file.display())).because(&e))?;
        Ok(state.pid)
    }

    fn call(&self, verb: &'static str) -> Result<Call<'_>, Fault> {
        let mut command = Command::new(self.file);
        let files = Files::new(self.bundle, verb);
        command.arg("--root").arg(self.root).arg("--log").arg(&files.log).args(["--log-format", "json"]);
        // Made here, so that nobody else can have put something else in its place.
        files.make(&files.log, b"").map_err(|e| fault(verb, "cannot make the runtime's log").because(&e))?;
        if self.systemd_cgroup {
            command.arg("--systemd-cgroup");
        }
        command.arg(verb).stdin(Stdio::null()).env_remove(plimsoll_sys::sd_notify::VARIABLE);
        // The shim's `delete` would find nothing yet of what it is about to make.
        process::end_with_caller(&mut command);
        Ok(Call { program: self.file, verb, command, files })
    }
}

/// The files of one call, in the bundle; they go with it.
struct Files {
    stem: PathBuf,
    log: PathBuf,
    pid: PathBuf,
    input: Option<PathBuf>,
}

impl Files {
    /// A worker makes one call of a verb.
    fn new(bundle: &Path, verb: &str) -> Self {
        let stem = bundle.join(format!("plimsoll-oci-{}-{verb}", std::process::id()));
        let (log, pid) = (stem.with_extension("log"), stem.with_extension("pid"));
        Self { stem, log, pid, input: None }
    }

    fn make(&self, path: &Path, bytes: &[u8]) -> io::Result<()> {
        OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?.write_all(bytes)
    }
}

impl Drop for Files {
    /// What cannot be removed goes with the bundle.
    fn drop(&mut self) {
        for path in [&self.log, &self.pid].into_iter().chain(&self.input) {
            drop(std::fs::remove_file(path));
        }
    }
}

struct Call<'a> {
    program: &'a Path,
    verb: &'static str,
    command: Command,
    files: Files,
}

impl Call<'_> {
    /// A file that the runtime is to read.
    fn file(&mut self, name: &str, bytes: &[u8]) -> Result<PathBuf, Fault> {
        let path = self.files.stem.with_extension(name);
        let made = self.files.make(&path, bytes);
        made.map_err(|e| fault(self.verb, "cannot make a file for the runtime").because(&e))?;
        self.files.input = Some(path.clone());
        Ok(path)
    }

    /// `create` or `exec`: the process that it makes has `stdio`, and is a child of the shim, its subreaper.
    fn make(mut self, id: &str, stdio: ProcessStdio) -> Result<Made, Fault> {
        let mut console = None;
        match stdio {
            ProcessStdio::Inherit => {}
            ProcessStdio::Fds { stdin, stdout, stderr } => {
                self.command.stdin(stdin).stdout(stdout).stderr(stderr);
            }
            ProcessStdio::Console { socket, .. } => {
                let listener = Console::listen(self.files.stem.with_extension("sock"), socket)?;
                self.command.arg("--console-socket").arg(listener.address());
                self.command.stdout(Stdio::null()).stderr(Stdio::null());
                console = Some(listener);
            }
        }
        self.command.arg("--pid-file").arg(&self.files.pid).arg(id);
        let mut child = self.command.spawn().map_err(|e| self.cannot_run(&e))?;
        // The process has its copies; ours would keep its streams from ending.
        self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let status = child.wait().map_err(|e| fault(self.verb, "cannot wait for the runtime").because(&e))?;
        if !status.success() {
            return Err(self.failed(&status.to_string(), ""));
        }
        Ok(Made { verb: self.verb, program: self.program.to_owned(), files: self.files, console })
    }

    /// Every other verb, to its end; gives what it printed. Through files: what the runtime leaves running (runsc's gofer) would hold
    /// a pipe open.
    fn end<'w>(mut self, words: impl IntoIterator<Item = &'w str>) -> Result<Vec<u8>, Fault> {
        let file = || {
            let made = memfd_create("output", MemfdFlags::CLOEXEC).map_err(io::Error::from);
            let file = File::from(made?);
            Ok((file.try_clone()?, file))
        };
        let unable = |e: io::Error| fault(self.verb, "cannot make a file for what the runtime says").because(&e);
        let ((out, stdout), (err, stderr)) = (file().map_err(unable)?, file().map_err(unable)?);
        self.command.args(words.into_iter().map(OsStr::new)).stdout(stdout).stderr(stderr);
        let status = self.command.status().map_err(|e| self.cannot_run(&e))?;
        if status.success() {
            return printed(out).map_err(|e| fault(self.verb, "cannot read what the runtime says").because(&e));
        }
        let said = printed(err).unwrap_or_default();
        Err(self.failed(&status.to_string(), &String::from_utf8_lossy(&said)))
    }

    fn cannot_run(&self, error: &io::Error) -> Fault {
        let what = format!("cannot run the OCI runtime {}", self.program.display());
        let errno = error.raw_os_error().unwrap_or(0);
        fault(self.verb, what).because(error).syscall("execve", &self.program.to_string_lossy(), errno)
    }

    fn failed(&self, status: &str, stderr: &str) -> Fault {
        let log = crate::durable::read_bounded(&self.files.log, LIMIT).unwrap_or_default();
        let log = String::from_utf8_lossy(&log);
        said::fault(self.program, self.verb, status, &log, stderr)
    }
}

/// What `create` or `exec` has made; whether the runtime told of it is to be seen.
struct Made {
    verb: &'static str,
    program: PathBuf,
    files: Files,
    console: Option<Console>,
}

impl Made {
    fn pid(&self) -> Option<i32> {
        std::fs::read_to_string(&self.files.pid).ok()?.trim().parse().ok()
    }

    /// Its pid, once its terminal is where it is waited for.
    fn told(self) -> Result<i32, Fault> {
        let none = || fault(self.verb, format!("{} left no pid of what it made", self.program.display()));
        let pid = self.pid().ok_or_else(none)?;
        self.console.map_or(Ok(()), Console::pass_on)?;
        Ok(pid)
    }
}

/// Kills a process that the runtime has named, if it is a child of the shim's.
fn kill(pid: i32) {
    let (Some(pid), Some(shim)) = (Pid::from_raw(pid), rustix::process::getppid()) else { return };
    let Ok(pidfd) = process::pidfd(pid) else { return };
    // Looked at after the pidfd was opened: as long as that process lives, the number is its.
    if tree::children(shim).contains(&pid) {
        // ESRCH: it has ended.
        process::signal(pidfd, Signal::KILL.as_raw()).ok();
    }
}

/// From the file's begin on, and not without end.
fn printed(mut file: File) -> io::Result<Vec<u8>> {
    file.rewind()?;
    let mut bytes = Vec::new();
    file.take(LIMIT).read_to_end(&mut bytes)?;
    Ok(bytes)
}

fn fault(verb: &str, what: impl Into<String>) -> Fault {
    Fault::new(Layer::OciRuntime, verb, what)
}
