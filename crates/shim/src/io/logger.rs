//! `binary:///PROGRAM?KEY=VALUE…`: a program that reads what the process writes, started as containerd starts it
//! (core/runtime/v2/README.md, "Logging"): standard output is its descriptor 3, standard error 4, and it closes 5, or writes to
//! it, when it is ready. The shim is not between the two.

use super::uri::Program;
use plimsoll_fault::{Fault, Layer};
use plimsoll_sys::{SingleThread, fork};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, WaitId, WaitIdOptions, waitid};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Its first descriptor of ours.
const FIRST: i32 = 3;

#[derive(Debug)]
pub(crate) struct Logger {
    pub(super) program: Program,
    /// To be read by the program.
    pub(super) stdout: OwnedFd,
    pub(super) stderr: OwnedFd,
}

impl Logger {
    pub(crate) fn fds(&self) -> [BorrowedFd<'_>; 2] {
        [self.stdout.as_fd(), self.stderr.as_fd()]
    }

    /// In a worker: starts the program for container `id` and waits until it is ready.
    pub(crate) fn start(self, token: &SingleThread, namespace: &str, id: &str) -> Result<Pid, Fault> {
        let pipe = || pipe_with(PipeFlags::CLOEXEC).map_err(|e| self.fault("cannot make a pipe for").because(&e));
        let ((failed, fails), (ready, readies)) = (pipe()?, pipe()?);
        let mut command = Command::new(&self.program.path);
        command.args(&self.program.args).env_clear();
        command.env("CONTAINER_ID", id).env("CONTAINER_NAMESPACE", namespace);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let ends = [self.stdout.as_fd(), self.stderr.as_fd(), readies.as_fd()];
        // Where nothing is put.
        let above = rustix::io::fcntl_dupfd_cloexec(&fails, FIRST + i32::try_from(ends.len()).unwrap_or(0));
        drop(fails);
        let fails = above.map_err(|e| self.fault("cannot make a pipe for").because(&e))?;
        let become_it = |_: &SingleThread| {
            let error = match fork::place(&ends, FIRST) {
                Ok(()) => command.exec(),
                Err(error) => error,
            };
            let errno = error.raw_os_error().unwrap_or(0).to_ne_bytes();
            u8::from(rustix::io::write(&fails, &errno).is_ok())
        };
        let pid = fork::fork(token, become_it).map_err(|e| self.fault("cannot fork for").because(&e))?;
        drop((fails, readies));
        let mut errno = [0; 4];
        if read(&failed, &mut errno) == Ok(errno.len()) {
            let error = std::io::Error::from_raw_os_error(i32::from_ne_bytes(errno));
            return Err(self.fault("cannot run").because(&error));
        }
        let said = read(&ready, &mut [0]);
        // It ended, if it did, with its descriptors: what is left of it waits to be reaped by the shim.
        let ended = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
        match (said, waitid(WaitId::Pid(pid), ended)) {
            (Ok(_), Ok(None)) => Ok(pid),
            _ => Err(self.fault("there is no more of")),
        }
    }

    fn fault(&self, what: &str) -> Fault {
        Fault::new(Layer::Shim, "stdio", format!("{what} the logger {}", self.program.path.display()))
    }
}

fn read(from: &OwnedFd, bytes: &mut [u8]) -> Result<usize, Errno> {
    rustix::io::retry_on_intr(|| rustix::io::read(from, &mut *bytes))
}

/// Whether it still is there as a child of the shim: then the number is its own.
pub(crate) fn is_child(pid: Pid) -> bool {
    let any = WaitIdOptions::EXITED | WaitIdOptions::NOHANG | WaitIdOptions::NOWAIT;
    matches!(waitid(WaitId::Pid(pid), any), Ok(None))
}
