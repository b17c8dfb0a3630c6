//! Forking a worker: which fds it keeps, its signals, its process group, its end with the shim.

use super::report::{Outcome, Report, Reporter};
use crate::io::{ChildIo, Logger};
use plimsoll_fault::{Fault, Layer};
use plimsoll_runtime::Stdio;
use plimsoll_sys::{SingleThread, fork, process, signalfd};
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::Pid;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Runs `work` in a forked child with `stdio` for the process that it makes. Returns the child's pid and the pipe of its
/// reports, non-blocking.
pub(crate) fn spawn(
    token: &SingleThread,
    io: ChildIo,
    work: impl FnOnce(&SingleThread, &mut Reporter, ChildIo) -> Result<Outcome, Fault>,
) -> Result<(Pid, OwnedFd), Fault> {
    let (ours, theirs) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| fault("cannot make a pipe").because(&e))?;
    rustix::io::ioctl_fionbio(&ours, true).map_err(|e| fault("cannot set up a pipe").because(&e))?;
    let mut reporter = Reporter::new(theirs);
    let shim = rustix::process::getpid();
    let child = move |token: &SingleThread| {
        // One without its shim is of no use, and would go on making what the shim's `delete` has just looked for.
        let report = match process::end_with(shim).map_err(Into::into).and_then(|()| prepare(&reporter, &io)) {
            Ok(()) => work(token, &mut reporter, io),
            Err(error) => Err(fault("cannot prepare a worker").because(&error)),
        };
        let failed = report.is_err();
        reporter.send(&report.map_or_else(Report::Failed, Report::Done));
        u8::from(failed)
    };
    let pid = fork::fork(token, child).map_err(|e| fault("cannot fork a worker").because(&e))?;
    Ok((pid, ours))
}

/// Leaves the worker nothing of the server: no connection, no other container's pipe, no blocked signal.
fn prepare(reporter: &Reporter, io: &ChildIo) -> std::io::Result<()> {
    let mut kept: Vec<BorrowedFd<'_>> = vec![reporter.pipe().as_fd()];
    kept.extend(io.logger.iter().flat_map(Logger::fds));
    match &io.stdio {
        Stdio::Inherit => {}
        Stdio::Fds { stdin, stdout, stderr } => kept.extend([stdin.as_fd(), stdout.as_fd(), stderr.as_fd()]),
        Stdio::Console { socket, .. } => kept.push(socket.as_fd()),
    }
    fork::keep_only(&kept)?;
    rustix::process::setpgid(None, None)?;
    signalfd::unblock_all()
}

fn fault(what: &str) -> Fault {
    Fault::new(Layer::Shim, "worker", what)
}
