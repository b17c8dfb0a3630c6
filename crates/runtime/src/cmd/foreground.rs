//! Being the terminal and the parent of a process in the foreground: signals go to it, its exit code comes back, and with a
//! terminal the bytes are carried between ours and its own.

use plimsoll_fault::{Fault, Layer};
use plimsoll_runtime::{Created, Stdio};
use plimsoll_spec::runtime::ConsoleSize;
use plimsoll_sys::process::{self, Exit};
use plimsoll_sys::{message, signals};
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::Signal;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, Winsize};
use std::os::fd::OwnedFd;
use std::process::ExitCode;

/// Signals are blocked from `begin` on and taken one by one.
pub(super) struct Foreground {
    /// Our end of the console socket.
    socket: Option<OwnedFd>,
}

impl Foreground {
    pub(super) fn begin() -> Result<Self, Fault> {
        // A parent that ignores SIGCHLD would have our children reaped behind our back.
        signals::keep_children()
            .and_then(|()| signals::block_all())
            .map_err(|error| fault("cannot block signals", error))?;
        Ok(Self { socket: None })
    }

    /// Stdio for a process with a terminal, whose master will come to us.
    pub(super) fn terminal(&mut self) -> Result<Stdio, Fault> {
        let pair = rustix::net::socketpair(AddressFamily::UNIX, SocketType::STREAM, SocketFlags::CLOEXEC, None);
        let (ours, theirs) = pair.map_err(|error| fault("cannot make a console socket", error))?;
        self.socket = Some(ours);
        Ok(Stdio::Console {
            socket: theirs,
            size: own_size().map(|size| ConsoleSize { height: size.ws_row, width: size.ws_col }),
        })
    }

    /// Until the process ends; reaps it.
    pub(super) fn wait(self, created: &Created) -> Result<Exit, Fault> {
        match self.socket {
            None => plain(created),
            Some(socket) => {
                let (_, master) = message::receive_fd(&socket, &mut [0; 256])
                    .map_err(|error| fault("cannot receive the container's terminal", error))?;
                let master = master.ok_or_else(|| Fault::new(Layer::OciRuntime, "console", "no terminal came"))?;
                Terminal::attach(master)?.carry(created)
            }
        }
    }
}

fn plain(created: &Created) -> Result<Exit, Fault> {
    loop {
        if let Some(exit) = ended(created)? {
            return Ok(exit);
        }
        match signals::take() {
            Ok(signal) => forward(created, signal)?,
            Err(Errno::INTR) => {}
            Err(error) => return Err(fault("cannot wait for signals", error)),
        }
    }
}

fn ended(created: &Created) -> Result<Option<Exit>, Fault> {
    process::try_wait(created.pid).map_err(|error| fault("cannot wait for the process", error))
}

fn forward(created: &Created, signal: i32) -> Result<(), Fault> {
    // SIGURG is what Go parents preempt their threads with; SIGCHLD is ours.
    if [Signal::CHILD, Signal::URG].iter().any(|own| own.as_raw() == signal) {
        return Ok(());
    }
    match process::signal(&created.pidfd, signal) {
        Ok(()) | Err(Errno::SRCH) => Ok(()),
        Err(error) => Err(fault("cannot pass on a signal", error)),
    }
}

/// Of our own terminal, if it is one and has a size.
fn own_size() -> Option<Winsize> {
    rustix::termios::tcgetwinsize(stdin()).ok().filter(|size| size.ws_row != 0)
}

/// Our own terminal in raw mode, and the container's master.
struct Terminal {
    master: OwnedFd,
    /// Our terminal's mode before, to be put back.
    before: Option<Termios>,
}

impl Terminal {
    fn attach(master: OwnedFd) -> Result<Self, Fault> {
        let before = rustix::termios::tcgetattr(stdin()).ok();
        if let Some(before) = &before {
            let mut raw = before.clone();
            raw.make_raw();
            rustix::termios::tcsetattr(stdin(), OptionalActions::Now, &raw)
                .map_err(|error| fault("cannot put the terminal in raw mode", error))?;
        }
        let terminal = Self { master, before };
        terminal.resize();
        Ok(terminal)
    }

    /// A terminal without a size keeps what the config gave.
    fn resize(&self) {
        if let Some(size) = own_size()
            && let Err(error) = rustix::termios::tcsetwinsize(&self.master, size)
        {
            eprintln!("plimrun: cannot resize the terminal: {error}");
        }
    }

    /// Both directions until the process has ended and the master is drained.
    fn carry(self, created: &Created) -> Result<Exit, Fault> {
        let signals = signals::descriptor().map_err(|error| fault("cannot wait for signals", error))?;
        let mut input = true;
        loop {
            let watch = if input { PollFlags::IN } else { PollFlags::empty() };
            let mut fds = [
                PollFd::new(&self.master, PollFlags::IN),
                PollFd::new(&signals, PollFlags::IN),
                PollFd::new(&created.pidfd, PollFlags::IN),
                PollFd::from_borrowed_fd(stdin(), watch),
            ];
            match poll(&mut fds, None) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(fault("cannot wait for the terminal", error)),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready[0] && copy(&self.master, stdout())? {
                continue;
            }
            if ready[1] {
                self.signals(&signals, created)?;
            }
            if ready[2]
                && let Some(exit) = ended(created)?
            {
                return Ok(exit);
            }
            if input && ready[3] {
                input = copy(stdin(), &self.master)?;
            }
        }
    }

    fn signals(&self, descriptor: &OwnedFd, created: &Created) -> Result<(), Fault> {
        while let Some(signal) = signals::read(descriptor).map_err(|error| fault("cannot take a signal", error))? {
            if signal == Signal::WINCH.as_raw() { self.resize() } else { forward(created, signal)? }
        }
        Ok(())
    }
}

impl Drop for Terminal {
    fn drop(&mut self) {
        if let Some(before) = &self.before
            && let Err(error) = rustix::termios::tcsetattr(stdin(), OptionalActions::Now, before)
        {
            eprintln!("plimrun: cannot put the terminal back: {error}");
        }
    }
}

/// Copies what is there; false at the end. A master whose slaves are all closed answers EIO.
fn copy(from: impl std::os::fd::AsFd, to: impl std::os::fd::AsFd) -> Result<bool, Fault> {
    let mut buffer = [0; 4096];
    let got = match rustix::io::read(from, &mut buffer) {
        Ok(0) | Err(Errno::IO) => return Ok(false),
        Ok(got) => got,
        Err(Errno::INTR | Errno::AGAIN) => return Ok(true),
        Err(error) => return Err(fault("cannot read from a terminal", error)),
    };
    let mut rest = buffer.get(..got).unwrap_or_default();
    while !rest.is_empty() {
        match rustix::io::write(&to, rest) {
            Ok(done) => rest = rest.get(done..).unwrap_or_default(),
            Err(Errno::INTR) => {}
            Err(error) => return Err(fault("cannot write to a terminal", error)),
        }
    }
    Ok(true)
}

/// The program's own code, or 128 + signal.
pub(super) fn exit_code(exit: Exit) -> ExitCode {
    ExitCode::from(u8::try_from(exit.code()).unwrap_or(255))
}

fn fault(what: &str, error: Errno) -> Fault {
    Fault::new(Layer::OciRuntime, "foreground", what).because(&std::io::Error::from(error))
}
