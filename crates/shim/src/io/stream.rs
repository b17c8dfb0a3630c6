//! One direction of one standard stream: bytes from a non-blocking fd to a sink, with one bounded buffer between.

use super::SharedLog;
use super::line_log::Source;
use rustix::io::Errno;
use std::fs::File;
use std::io::{self, Write};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::time::Duration;

/// Bytes read at once; also the most that a stream holds for a sink that takes nothing.
pub(crate) const CHUNK: usize = 32 * 1024;

/// Reads in one go before other streams and calls get their turn.
const TURNS: usize = 8;

/// When a disk that refused a write is asked again.
const DISK_RETRY: Duration = Duration::from_secs(1);

#[derive(Debug)]
pub(crate) enum Sink {
    /// A FIFO, a pipe or a terminal; non-blocking.
    Fd(OwnedFd),
    File(File),
    Log(SharedLog, Source),
}

/// What the stream waits for.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Progress {
    /// The source has nothing now.
    Source,
    /// The sink takes nothing now.
    Sink,
    /// The disk refused; to be tried again then.
    Retry(Duration),
    /// More may be there; others first.
    Again,
    /// The source has ended and everything is written, or the sink's reader is gone for good.
    Done,
}

#[derive(Debug)]
pub(crate) struct Stream {
    source: OwnedFd,
    sink: Sink,
    /// Read but not taken by the sink: `held[sent..]`.
    held: Vec<u8>,
    sent: usize,
    ended: bool,
}

impl Stream {
    /// `source` must be non-blocking.
    pub(crate) fn new(source: OwnedFd, sink: Sink) -> Self {
        Self { source, sink, held: Vec::new(), sent: 0, ended: false }
    }

    pub(crate) fn source(&self) -> BorrowedFd<'_> {
        self.source.as_fd()
    }

    /// The fd to wait for after [`Progress::Sink`].
    pub(crate) fn sink(&self) -> Option<BorrowedFd<'_>> {
        match &self.sink {
            Sink::Fd(fd) => Some(fd.as_fd()),
            Sink::File(_) | Sink::Log(..) => None,
        }
    }

    /// Moves what can be moved without waiting. `scratch` is shared by all streams and at least [`CHUNK`] long.
    pub(crate) fn pump(&mut self, scratch: &mut [u8]) -> Progress {
        for _ in 0..TURNS {
            match self.flush() {
                Ok(()) => {}
                Err(error) => return self.stuck(&error),
            }
            if self.ended {
                return Progress::Done;
            }
            match rustix::io::read(&self.source, &mut *scratch) {
                Ok(0) => self.ended = true,
                // A terminal whose last user has gone answers EIO.
                Err(Errno::IO) => self.ended = true,
                Err(Errno::AGAIN) => return Progress::Source,
                Err(Errno::INTR) => {}
                Err(_) => self.ended = true,
                Ok(count) => {
                    if let Err(error) = self.take(&scratch[..count]) {
                        return self.stuck(&error);
                    }
                }
            }
        }
        Progress::Again
    }

    /// Gives new bytes to the sink; what it does not take is held.
    fn take(&mut self, bytes: &[u8]) -> io::Result<()> {
        if let Sink::Log(log, source) = &self.sink {
            // The log keeps what the disk refuses.
            return log.borrow_mut().append(*source, bytes);
        }
        self.held.clear();
        self.sent = 0;
        let mut sent = 0;
        let outcome = write_some(&mut self.sink, bytes, &mut sent);
        self.held.extend_from_slice(&bytes[sent..]);
        outcome
    }

    fn flush(&mut self) -> io::Result<()> {
        if let Sink::Log(log, source) = &self.sink {
            let mut log = log.borrow_mut();
            return if self.ended { log.finish(*source) } else { log.flush() };
        }
        let outcome = write_some(&mut self.sink, &self.held[self.sent..], &mut self.sent);
        if self.sent == self.held.len() {
            self.held = Vec::new();
            self.sent = 0;
        }
        outcome
    }

    fn stuck(&mut self, error: &io::Error) -> Progress {
        match error.kind() {
            io::ErrorKind::WouldBlock => Progress::Sink,
            // Nobody can ever read it: standard input that the process closed, a terminal that hung up.
            io::ErrorKind::BrokenPipe => Progress::Done,
            _ if matches!(self.sink, Sink::Fd(_)) => Progress::Done,
            _ => Progress::Retry(DISK_RETRY),
        }
    }
}

/// Writes `bytes` until the sink takes no more; `sent` grows by what it took.
fn write_some(sink: &mut Sink, bytes: &[u8], sent: &mut usize) -> io::Result<()> {
    let mut rest = bytes;
    while !rest.is_empty() {
        let outcome = match sink {
            Sink::Fd(fd) => rustix::io::write(fd, rest).map_err(io::Error::from),
            Sink::File(file) => file.write(rest),
            Sink::Log(..) => Ok(rest.len()),
        };
        match outcome {
            Ok(count) => {
                *sent += count;
                rest = &rest[count..];
            }
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use rustix::pipe::{PipeFlags, pipe_with};

    #[test]
    fn a_sink_that_takes_nothing_holds_the_stream_and_loses_nothing() {
        let flags = PipeFlags::CLOEXEC | PipeFlags::NONBLOCK;
        let (source, feed) = pipe_with(flags).expect("pipe");
        let (reader, sink) = pipe_with(flags).expect("pipe");
        let mut stream = Stream::new(source, Sink::Fd(sink));
        let mut scratch = vec![0; CHUNK];
        let (mut fed, mut seen) = (Vec::new(), Vec::new());
        let mut byte = 0u8;
        for _ in 0..40 {
            let block: Vec<u8> = std::iter::repeat_with(|| {
                byte = byte.wrapping_add(1);
                byte
            })
            .take(7000)
            .collect();
            if let Ok(count) = rustix::io::write(&feed, &block) {
                fed.extend_from_slice(&block[..count]);
                byte = *fed.last().expect("written");
            }
            stream.pump(&mut scratch);
        }
        assert_eq!(stream.pump(&mut scratch), Progress::Sink);
        drop(feed);
        let mut chunk = [0; 4096];
        loop {
            match rustix::io::read(&reader, &mut chunk) {
                Ok(count) => seen.extend_from_slice(&chunk[..count]),
                Err(_) if stream.pump(&mut scratch) == Progress::Done => break,
                Err(_) => {}
            }
        }
        while let Ok(count @ 1..) = rustix::io::read(&reader, &mut chunk) {
            seen.extend_from_slice(&chunk[..count]);
        }
        assert!(seen == fed, "{} of {} bytes", seen.len(), fed.len());
    }
}
