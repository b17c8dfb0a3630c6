//! What a container's program says at its notification socket goes on to the supervisor that `NOTIFY_SOCKET` names, as far as it
//! is no more than that it is ready (sd_notify(3)): the container must not speak for the unit.

use crate::log::Log;
use plimsoll_sys::sd_notify::{Supervisor, VARIABLE};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::process::Pid;
use std::io;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::os::unix::net::UnixDatagram;

/// The longest that a supervisor is waited for which has been told.
const SETTLED: Timespec = Timespec { tv_sec: 5, tv_nsec: 0 };

/// Whether anybody waits to be told.
pub(super) fn is_wanted() -> bool {
    std::env::var_os(VARIABLE).is_some_and(|name| !name.is_empty())
}

pub(super) struct Relay {
    supervisor: Supervisor,
    socket: UnixDatagram,
}

impl Relay {
    /// `None`, having warned, when the supervisor cannot be reached: that is no reason to be without the container.
    pub(super) fn new(log: &Log, socket: UnixDatagram) -> Option<Self> {
        match Supervisor::of_environment() {
            Ok(supervisor) => supervisor.map(|supervisor| Self { supervisor, socket }),
            Err(error) => {
                log.warn(&format!("cannot reach the socket that {VARIABLE} names: {error}"));
                None
            }
        }
    }

    pub(super) fn socket(&self) -> BorrowedFd<'_> {
        self.socket.as_fd()
    }

    /// Until the program of the init `pid` is ready, of which the supervisor is told, or has ended.
    pub(super) fn wait(&self, log: &Log, pid: Pid, pidfd: &OwnedFd) {
        loop {
            let mut fds = [PollFd::new(&self.socket, PollFlags::IN), PollFd::new(pidfd, PollFlags::IN)];
            match poll(&mut fds, None) {
                Ok(_) if !fds[0].revents().is_empty() => {
                    if self.take(log, Some(pid)) {
                        return;
                    }
                }
                Ok(_) => return,
                Err(Errno::INTR) => {}
                Err(error) => return log.warn(&format!("cannot wait for the container to be ready: {error}")),
            }
        }
    }

    /// One message; whether there is nothing more to wait for. `main` becomes the unit's main process.
    pub(super) fn take(&self, log: &Log, main: Option<Pid>) -> bool {
        let mut buffer = [0; 4096];
        let told = self.socket.recv(&mut buffer).and_then(|length| {
            let ready = buffer[..length].split(|byte| *byte == b'\n').any(|line| line == b"READY=1");
            if ready { self.tell(main).map(|()| true) } else { Ok(false) }
        });
        told.unwrap_or_else(|error| {
            log.warn(&format!("cannot say that the container is ready: {error}"));
            true
        })
    }

    fn tell(&self, main: Option<Pid>) -> io::Result<()> {
        let main = main.map(|pid| format!("MAINPID={}\n", pid.as_raw_nonzero())).unwrap_or_default();
        self.supervisor.tell(&format!("{main}READY=1"))?;
        self.supervisor.settle(SETTLED)
    }
}
