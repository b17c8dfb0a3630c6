//! From the stdio strings of a request to open fds: those for the process, and the streams that the server pumps.

use super::line_log::{Source, open_append};
use super::logger::Logger;
use super::stream::{Sink, Stream};
use super::uri::{self, Program, Target};
use super::{LineLog, SharedLog};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_runtime::Stdio;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::pipe::{PipeFlags, pipe_with};
use std::cell::RefCell;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;
use std::rc::Rc;

/// The stdio part of a create or exec request, as it came and as State gives it back.
#[derive(Clone, Debug, Default)]
pub(crate) struct StdioSpec {
    pub(crate) stdin: String,
    pub(crate) stdout: String,
    pub(crate) stderr: String,
    pub(crate) terminal: bool,
}

/// The shim's side of a process's standard streams.
#[derive(Debug, Default)]
pub(crate) struct ProcessIo {
    /// The logs behind the streams, for reopening.
    pub(crate) logs: Vec<SharedLog>,
    /// The terminal's master, for its size.
    pub(crate) console: Option<OwnedFd>,
    /// Keeps a stdin FIFO from ending when a client goes away; closed by CloseIO.
    pub(crate) stdin_keeper: Option<OwnedFd>,
    /// With a terminal: the streams' far ends, until the master is there.
    waiting: Option<Waiting>,
}

#[derive(Debug)]
struct Waiting {
    socket: OwnedFd,
    output: Option<Sink>,
    input: Option<OwnedFd>,
}

/// What [`open`] makes.
#[derive(Debug)]
pub(crate) struct Opened {
    pub(crate) io: ProcessIo,
    /// To be pumped at once.
    pub(crate) outputs: Vec<Stream>,
    pub(crate) input: Option<Stream>,
    /// For the runtime.
    pub(crate) child: ChildIo,
}

/// What a worker gets for the process that it makes.
#[derive(Debug, Default)]
pub(crate) struct ChildIo {
    pub(crate) stdio: Stdio,
    /// To be started before the process is.
    pub(crate) logger: Option<Logger>,
}

/// Opens every sink of `spec`, so that a wrong one fails the request before anything is made.
pub(crate) fn open(spec: &StdioSpec) -> Result<Opened, Fault> {
    let mut io = ProcessIo::default();
    let input = open_input(&spec.stdin, &mut io)?;
    let out = uri::parse(&spec.stdout)?;
    let err = uri::parse(&spec.stderr)?;
    if let Target::Binary(program) = &out {
        return open_logged(io, input, spec.terminal, program, &err);
    }
    let stdout = open_sink(&out, Source::Stdout, None)?;
    if let Some(Sink::Log(log, _)) = &stdout {
        io.logs.push(log.clone());
    }
    if spec.terminal {
        return open_terminal(io, input, stdout);
    }
    let shared = io.logs.first().filter(|_| out == err).cloned();
    let stderr = open_sink(&err, Source::Stderr, shared)?;
    if let (Some(Sink::Log(log, _)), true) = (&stderr, out != err) {
        io.logs.push(log.clone());
    }
    open_pipes(io, input, [stdout, stderr])
}

/// Takes the master that the runtime sent and returns its streams: output first, then input.
pub(crate) fn attach_console(io: &mut ProcessIo) -> Result<(Option<Stream>, Option<Stream>), Fault> {
    let Some(waiting) = io.waiting.take() else {
        return Ok((None, None));
    };
    let master = super::receive_master(waiting.socket.as_fd())?;
    nonblocking(&master)?;
    let copy = || master.try_clone().map_err(|e| fault("cannot copy the terminal's fd").because(&e));
    let output = match waiting.output {
        Some(sink) => Some(Stream::new(copy()?, sink)),
        // Somebody must read, or the process would block once the terminal's buffer is full.
        None => Some(Stream::new(copy()?, Sink::Fd(null(OFlags::WRONLY)?))),
    };
    let input = match waiting.input {
        Some(fifo) => Some(Stream::new(fifo, Sink::Fd(copy()?))),
        None => None,
    };
    io.console = Some(master);
    Ok((output, input))
}

impl From<Stdio> for ChildIo {
    fn from(stdio: Stdio) -> Self {
        Self { stdio, logger: None }
    }
}

/// Standard output goes to a program, standard error too if it names the same one.
fn open_logged(
    io: ProcessIo,
    input: Option<OwnedFd>,
    terminal: bool,
    program: &Program,
    err: &Target,
) -> Result<Opened, Fault> {
    let ((out_read, out_write), (err_read, err_write)) = (pipe()?, pipe()?);
    let logger = Logger { program: program.clone(), stdout: out_read, stderr: err_read };
    let mut opened = if terminal {
        nonblocking(&out_write)?;
        open_terminal(io, input, Some(Sink::Fd(out_write)))?
    } else {
        let shared = matches!(err, Target::Binary(same) if same == program);
        let sink = if shared { None } else { open_sink(err, Source::Stderr, None)? };
        let mut opened = open_pipes(io, input, [None, sink])?;
        if let Stdio::Fds { stdout, stderr, .. } = &mut opened.child.stdio {
            *stdout = out_write;
            if shared {
                *stderr = err_write;
            }
        }
        opened
    };
    opened.child.logger = Some(logger);
    Ok(opened)
}

fn open_terminal(mut io: ProcessIo, input: Option<OwnedFd>, output: Option<Sink>) -> Result<Opened, Fault> {
    let (ours, theirs) = rustix::net::socketpair(
        rustix::net::AddressFamily::UNIX,
        rustix::net::SocketType::STREAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|e| fault("cannot make a socket pair").because(&e))?;
    io.waiting = Some(Waiting { socket: ours, output, input });
    Ok(Opened { io, outputs: Vec::new(), input: None, child: Stdio::Console { socket: theirs, size: None }.into() })
}

fn open_pipes(io: ProcessIo, input: Option<OwnedFd>, sinks: [Option<Sink>; 2]) -> Result<Opened, Fault> {
    let mut outputs = Vec::new();
    let mut ends = Vec::new();
    for sink in sinks {
        ends.push(match sink {
            None => null(OFlags::WRONLY)?,
            Some(sink) => {
                let (ours, theirs) = pipe()?;
                nonblocking(&ours)?;
                outputs.push(Stream::new(ours, sink));
                theirs
            }
        });
    }
    let (stdin, input) = match input {
        None => (null(OFlags::RDONLY)?, None),
        Some(fifo) => {
            let (theirs, ours) = pipe()?;
            nonblocking(&ours)?;
            (theirs, Some(Stream::new(fifo, Sink::Fd(ours))))
        }
    };
    let (Some(stderr), Some(stdout)) = (ends.pop(), ends.pop()) else {
        return Err(fault("standard streams are missing"));
    };
    Ok(Opened { io, outputs, input, child: Stdio::Fds { stdin, stdout, stderr }.into() })
}

/// The FIFO of standard input, with a writer held so that it does not end while no client has it open.
fn open_input(text: &str, io: &mut ProcessIo) -> Result<Option<OwnedFd>, Fault> {
    match uri::parse(text)? {
        Target::Null => Ok(None),
        Target::Path(path) => {
            let flags = OFlags::NONBLOCK | OFlags::CLOEXEC;
            let reader = open_file(&path, OFlags::RDONLY | flags)?;
            if is_fifo(&reader, &path)? {
                io.stdin_keeper = Some(open_file(&path, OFlags::WRONLY | flags)?);
            }
            Ok(Some(reader))
        }
        Target::File(path) => open_file(&path, OFlags::RDONLY | OFlags::CLOEXEC).map(Some),
        Target::Log(..) => Err(Fault::invalid("stdio", "a log cannot be standard input")),
        Target::Binary(_) => Err(Fault::invalid("stdio", "a logger cannot be standard input")),
    }
}

fn open_sink(target: &Target, source: Source, shared: Option<SharedLog>) -> Result<Option<Sink>, Fault> {
    let cannot = |path: &Path, error: &std::io::Error| {
        let errno = error.raw_os_error().unwrap_or(0);
        fault(format!("cannot open {}", path.display())).because(error).syscall("open", &path.to_string_lossy(), errno)
    };
    Ok(Some(match target {
        Target::Null => return Ok(None),
        Target::Binary(_) => {
            return Err(Fault::invalid("stdio", "a logger of standard error must be that of standard output too"));
        }
        Target::Log(path, format) => Sink::Log(
            match shared {
                Some(log) => log,
                None => Rc::new(RefCell::new(LineLog::open(path, *format).map_err(|e| cannot(path, &e))?)),
            },
            source,
        ),
        Target::File(path) => Sink::File(open_append(path).map_err(|e| cannot(path, &e))?),
        Target::Path(path) => {
            // Open for reading too: a FIFO of which we are a reader keeps its bytes and gives no SIGPIPE while the
            // client is away, and the open itself cannot block.
            let fd = open_file(path, OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::APPEND)?;
            if is_fifo(&fd, path)? { Sink::Fd(fd) } else { Sink::File(fd.into()) }
        }
    }))
}

fn open_file(path: &Path, flags: OFlags) -> Result<OwnedFd, Fault> {
    rustix::fs::open(path, flags, Mode::empty()).map_err(|errno| {
        let kind = if errno == rustix::io::Errno::NOENT { Kind::NotFound } else { Kind::Internal };
        fault(format!("cannot open {}", path.display()))
            .because(&errno)
            .syscall("open", &path.to_string_lossy(), errno.raw_os_error())
            .kind(kind)
    })
}

fn is_fifo(fd: &OwnedFd, path: &Path) -> Result<bool, Fault> {
    let stat = rustix::fs::fstat(fd).map_err(|e| fault(format!("cannot stat {}", path.display())).because(&e))?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
}

fn null(access: OFlags) -> Result<OwnedFd, Fault> {
    open_file(Path::new("/dev/null"), access | OFlags::CLOEXEC)
}

fn pipe() -> Result<(OwnedFd, OwnedFd), Fault> {
    pipe_with(PipeFlags::CLOEXEC).map_err(|e| fault("cannot make a pipe").because(&e))
}

/// Only our end: the flag belongs to the open file, and the process's end is another one.
fn nonblocking(fd: &OwnedFd) -> Result<(), Fault> {
    rustix::io::ioctl_fionbio(fd, true).map_err(|e| fault("cannot make a stream non-blocking").because(&e))
}

fn fault(what: impl Into<String>) -> Fault {
    Fault::new(Layer::Shim, "stdio", what)
}
