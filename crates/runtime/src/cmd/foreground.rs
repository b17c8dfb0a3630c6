//! Being the terminal and the parent of a process in the foreground: signals go to it, its exit code comes back, and with a
//! terminal the bytes are carried between ours and its own.

use super::ready::Relay;
use crate::log::Log;
use plimsoll_fault::{Fault, Layer};
use plimsoll_runtime::{Created, Stdio};
use plimsoll_spec::runtime::ConsoleSize;
use plimsoll_sys::process::{self, Exit};
use plimsoll_sys::{message, signals};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::Signal;
use rustix::stdio::{stdin, stdout};
use rustix::termios::{OptionalActions, Termios, Winsize};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::process::ExitCode;

/// Signals are blocked from `begin` on and taken one by one.
pub(super) struct Foreground {
    log: Log,
    /// Our end of the console socket.
    socket: Option<OwnedFd>,
}

impl Foreground {
    pub(super) fn begin(log: &Log) -> Result<Self, Fault> {
        signals::block_all().map_err(|error| fault("cannot block signals", error))?;
        Ok(Self { log: log.clone(), socket: None })
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

    /// Until the process ends; reaps it. What comes over `relay` until then is told on.
    pub(super) fn wait(self, created: &Created, relay: Option<Relay>) -> Result<Exit, Fault> {
        match self.socket {
            None => {
                if let Some(relay) = relay
                    && let Some(exit) = until_ready(&self.log, &relay, created)?
                {
                    return Ok(exit);
                }
                plain(created)
            }
            Some(socket) => {
                let (_, master) = message::receive_fd(&socket, &mut [0; 256])
                    .map_err(|error| fault("cannot receive the container's terminal", error))?;
                let master = master.ok_or_else(|| Fault::new(Layer::OciRuntime, "console", "no terminal came"))?;
                Terminal::attach(master)?.carry(created, relay.map(|relay| (relay, self.log)))
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

/// Without a terminal: until the program is ready, or has ended.
fn until_ready(log: &Log, relay: &Relay, created: &Created) -> Result<Option<Exit>, Fault> {
    let signals = signals::descriptor().map_err(|error| fault("cannot wait for signals", error))?;
    loop {
        let mut fds = vec![PollFd::new(&signals, PollFlags::IN)];
        watch(&mut fds, relay.socket());
        match poll(&mut fds, None) {
            Ok(_) | Err(Errno::INTR) => {}
            Err(error) => return Err(fault("cannot wait for the container to be ready", error)),
        }
        if !fds[1].revents().is_empty() && relay.take(log, None) {
            return Ok(None);
        }
        while let Some(signal) = signals::read(&signals).map_err(|error| fault("cannot take a signal", error))? {
            forward(created, signal)?;
        }
        if let Some(exit) = ended(created)? {
            return Ok(Some(exit));
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
    fn carry(self, created: &Created, mut relay: Option<(Relay, Log)>) -> Result<Exit, Fault> {
        let signals = signals::descriptor().map_err(|error| fault("cannot wait for signals", error))?;
        let (mut input, mut output, mut sink) = (true, true, Sink::Open);
        loop {
            // What has ended is not polled any more: a hang-up is reported whether asked for or not, each time.
            let mut fds = vec![PollFd::new(&signals, PollFlags::IN), PollFd::new(&created.pidfd, PollFlags::IN)];
            let stdin_at = input.then(|| watch(&mut fds, stdin()));
            let said_at = relay.as_ref().map(|(relay, _)| watch(&mut fds, relay.socket()));
            if output {
                watch(&mut fds, self.master.as_fd());
            }
            // A terminal that nobody has open may be opened again: it is looked at from time to time.
            match poll(&mut fds, (!output).then_some(&PAUSE)) {
                Ok(_) | Err(Errno::INTR) => {}
                Err(error) => return Err(fault("cannot wait for the terminal", error)),
            }
            let ready: Vec<bool> = fds.iter().map(|fd| !fd.revents().is_empty()).collect();
            if ready[0] {
                self.signals(&signals, created)?;
            }
            if stdin_at.is_some_and(|at| ready[at]) {
                input = self.input()?;
            }
            if said_at.is_some_and(|at| ready[at]) {
                relay = relay.filter(|(relay, log)| !relay.take(log, None));
            }
            let pending = self.pending()?;
            output = pending.contains(PollFlags::IN) || !pending.contains(PollFlags::HUP);
            // The end comes when all that was written has been carried.
            if pending.contains(PollFlags::IN) {
                self.output(&mut sink)?;
            } else if ready[1]
                && let Some(exit) = ended(created)?
            {
                return Ok(exit);
            }
        }
    }

    /// What can be said of the master now: `IN` with something to read, `HUP` when nobody has the terminal open.
    fn pending(&self) -> Result<PollFlags, Fault> {
        let mut fds = [PollFd::new(&self.master, PollFlags::IN)];
        match poll(&mut fds, Some(&Timespec::default())) {
            Ok(_) | Err(Errno::INTR) => Ok(fds[0].revents()),
            Err(error) => Err(fault("cannot look at the container's terminal", error)),
        }
    }

    /// Carries some of what is there to our standard output.
    fn output(&self, sink: &mut Sink) -> Result<(), Fault> {
        let mut buffer = [0; 4096];
        read(&self.master, &mut buffer)?.map_or(Ok(()), |bytes| sink.write(bytes))
    }

    /// Carries what is there to the container; false at the end.
    fn input(&self) -> Result<bool, Fault> {
        let mut buffer = [0; 4096];
        let Some(mut rest) = read(stdin(), &mut buffer)? else { return Ok(false) };
        while !rest.is_empty() {
            match rustix::io::write(&self.master, rest) {
                Ok(done) => rest = rest.get(done..).unwrap_or_default(),
                // Nobody has the terminal open.
                Err(Errno::IO) => return Ok(true),
                Err(Errno::INTR) => {}
                Err(error) => return Err(fault("cannot write to the container's terminal", error)),
            }
        }
        Ok(true)
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

/// How long a terminal that nobody has open is left alone.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 100_000_000 };

fn watch<'fd>(fds: &mut Vec<PollFd<'fd>>, fd: BorrowedFd<'fd>) -> usize {
    fds.push(PollFd::from_borrowed_fd(fd, PollFlags::IN));
    fds.len() - 1
}

/// What is there, perhaps nothing yet; none at the end. A master whose slaves are all closed answers EIO.
fn read(from: impl AsFd, buffer: &mut [u8]) -> Result<Option<&[u8]>, Fault> {
    match rustix::io::read(from, &mut *buffer) {
        Ok(0) | Err(Errno::IO) => Ok(None),
        Ok(got) => Ok(buffer.get(..got)),
        Err(Errno::INTR | Errno::AGAIN) => Ok(Some(&[])),
        Err(error) => Err(fault("cannot read from a terminal", error)),
    }
}

/// Our standard output. Its reader may go while the container lives on: the container's output is then dropped, for it must
/// not be the container that pays for it.
enum Sink {
    Open,
    Gone,
}

impl Sink {
    fn write(&mut self, mut rest: &[u8]) -> Result<(), Fault> {
        while !rest.is_empty() && matches!(self, Self::Open) {
            match rustix::io::write(stdout(), rest) {
                Ok(done) => rest = rest.get(done..).unwrap_or_default(),
                Err(Errno::INTR) => {}
                Err(Errno::PIPE | Errno::IO) => *self = Self::Gone,
                // Whoever shares it with us has made it non-blocking.
                Err(Errno::AGAIN) => {
                    match poll(&mut [PollFd::from_borrowed_fd(stdout(), PollFlags::OUT)], Some(&PAUSE)) {
                        Ok(_) | Err(Errno::INTR) => {}
                        Err(error) => return Err(fault("cannot wait for standard output", error)),
                    }
                }
                Err(error) => return Err(fault("cannot write to standard output", error)),
            }
        }
        Ok(())
    }
}

/// The program's own code, or 128 + signal.
pub(super) fn exit_code(exit: Exit) -> ExitCode {
    ExitCode::from(u8::try_from(exit.code()).unwrap_or(255))
}

fn fault(what: &str, error: Errno) -> Fault {
    Fault::new(Layer::OciRuntime, "foreground", what).because(&std::io::Error::from(error))
}
