//! PID 1 of a pod's PID namespace: a copy of the worker that only reaps. It becomes the shim's child when the worker ends.
//! It is written down before it lives on its own, so that the shim's `delete` can end it when the shim has died.

use crate::durable::{self, SandboxFile};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_runtime::process_start;
use plimsoll_sys::{SingleThread, fork, process};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::pipe::{PipeFlags, pipe_with};
use rustix::process::{Pid, Signal};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// How long a killed PID 1 may take to end: it waits for every process of its namespace.
const KILLED: Timespec = Timespec { tv_sec: 10, tv_nsec: 0 };

const BOOT: &str = "/proc/sys/kernel/random/boot_id";

/// In a worker: starts it, keeps it in `record` and hands its pid to `pin`. On a fault it ends by itself.
pub(super) fn start(
    token: &SingleThread,
    record: &Path,
    pin: impl FnOnce(i32) -> Result<(), Fault>,
) -> Result<i32, Fault> {
    let cannot = |e: &(dyn std::error::Error + 'static)| fault("cannot start the pod's init").because(e);
    let (gate, release) = pipe_with(PipeFlags::CLOEXEC).map_err(|e| cannot(&e))?;
    let pid = fork::fork(token, move |_| run(gate)).map_err(|e| cannot(&e))?;
    let number = pid.as_raw_nonzero().get();
    let (start_time, _) = process_start(number).ok_or_else(|| fault("the pod's init has ended"))?;
    durable::write_sandbox(record, &SandboxFile { boot: boot()?, pid: number, start_time })
        .map_err(|e| fault("cannot write the pod's init down").because(&e))?;
    pin(number)?;
    rustix::io::write(&release, b"1").map_err(|e| cannot(&e))?;
    Ok(number)
}

/// In PID 1. A gate that closes without a word: the worker has failed or died, and nobody may know this process.
fn run(gate: OwnedFd) -> u8 {
    let ready = fork::keep_only(&[gate.as_fd()]).is_ok() && rustix::process::setsid().is_ok();
    if !ready || !matches!(rustix::io::read(&gate, &mut [0_u8; 1]), Ok(1)) {
        return 1;
    }
    drop(gate);
    // Signals from inside the namespace cannot end it: PID 1 has no default actions there.
    u8::from(fork::reap_for_ever().is_err())
}

/// For `delete`: ends the process that was written down, and with it every process of its namespace. One that has ended is
/// no error.
pub(crate) fn end(kept: &SandboxFile) -> Result<(), Fault> {
    let Some(pid) = Pid::from_raw(kept.pid).filter(|_| kept.pid > 0) else { return Ok(()) };
    let pidfd = match process::pidfd(pid) {
        Ok(pidfd) => pidfd,
        // Nobody's, or a thread's by now.
        Err(Errno::SRCH | Errno::INVAL | Errno::NOENT) => return Ok(()),
        Err(errno) => return Err(fault("cannot open the pod's init").because(&errno)),
    };
    // Read after the pidfd was opened: as long as that process lives, the number is its.
    if process_start(kept.pid) != Some((kept.start_time, false)) || boot()? != kept.boot {
        return Ok(());
    }
    match process::signal(&pidfd, Signal::KILL.as_raw()) {
        Ok(()) | Err(Errno::SRCH) => {}
        Err(errno) => return Err(fault("cannot kill the pod's init").because(&errno)),
    }
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&KILLED)) {
            Ok(0) => return Err(fault("the pod's killed init does not end").kind(Kind::DeadlineExceeded)),
            Ok(_) => return Ok(()),
            Err(Errno::INTR) => {}
            Err(errno) => return Err(fault("cannot wait for the pod's init").because(&errno)),
        }
    }
}

fn boot() -> Result<String, Fault> {
    let text = std::fs::read_to_string(BOOT).map_err(|e| fault(&format!("cannot read {BOOT}")).because(&e))?;
    Ok(text.trim().to_owned())
}

fn fault(what: &str) -> Fault {
    Fault::new(Layer::Shim, "sandbox", what)
}
