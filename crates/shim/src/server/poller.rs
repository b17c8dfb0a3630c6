//! epoll with typed tokens. Every fd is taken out before it is closed: a forked worker may hold a copy for a moment, and
//! epoll forgets an open file only when its last copy is closed.

use rustix::event::Timespec;
use rustix::event::epoll::{self, CreateFlags, EventData, EventFlags};
use rustix::io::Errno;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};
use std::time::Duration;

/// What became ready.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Token {
    Listener,
    Signals,
    Publisher,
    Connection(u32),
    Worker(u32),
    StreamSource(u32),
    StreamSink(u32),
    OutOfMemory(u32),
}

impl Token {
    fn to_u64(self) -> u64 {
        let (kind, id) = match self {
            Self::Listener => (0, 0),
            Self::Signals => (1, 0),
            Self::Publisher => (2, 0),
            Self::Connection(id) => (3, id),
            Self::Worker(id) => (4, id),
            Self::StreamSource(id) => (5, id),
            Self::StreamSink(id) => (6, id),
            Self::OutOfMemory(id) => (7, id),
        };
        kind << 32 | u64::from(id)
    }

    fn from_u64(value: u64) -> Option<Self> {
        // The low half is the id.
        let id = (value & 0xffff_ffff) as u32;
        Some(match value >> 32 {
            0 => Self::Listener,
            1 => Self::Signals,
            2 => Self::Publisher,
            3 => Self::Connection(id),
            4 => Self::Worker(id),
            5 => Self::StreamSource(id),
            6 => Self::StreamSink(id),
            7 => Self::OutOfMemory(id),
            _ => return None,
        })
    }
}

#[derive(Debug)]
pub(crate) struct Poller {
    epoll: OwnedFd,
}

impl Poller {
    pub(crate) fn new() -> rustix::io::Result<Self> {
        Ok(Self { epoll: epoll::create(CreateFlags::CLOEXEC)? })
    }

    pub(crate) fn add(&self, fd: BorrowedFd<'_>, token: Token, flags: EventFlags) -> rustix::io::Result<()> {
        epoll::add(&self.epoll, fd, EventData::new_u64(token.to_u64()), flags)
    }

    pub(crate) fn change(&self, fd: BorrowedFd<'_>, token: Token, flags: EventFlags) -> rustix::io::Result<()> {
        epoll::modify(&self.epoll, fd, EventData::new_u64(token.to_u64()), flags)
    }

    /// Taking out what is not in is no error.
    pub(crate) fn remove(&self, fd: BorrowedFd<'_>) {
        // ENOENT, or EPERM for a plain file, both mean that epoll does not watch it: what was wanted.
        epoll::delete(&self.epoll, fd).ok();
    }

    /// Waits for the next events; `None` waits for ever. Returns none after a signal.
    pub(crate) fn wait(&self, limit: Option<Duration>) -> rustix::io::Result<Vec<Token>> {
        let limit = limit.map(|d| Timespec {
            tv_sec: i64::try_from(d.as_secs()).unwrap_or(i64::MAX),
            tv_nsec: d.subsec_nanos().into(),
        });
        let mut space = [MaybeUninit::<epoll::Event>::uninit(); 64];
        match epoll::wait(&self.epoll, &mut space, limit.as_ref()) {
            Ok((events, _)) => Ok(events.iter().filter_map(|event| Token::from_u64(event.data.u64())).collect()),
            Err(Errno::INTR) => Ok(Vec::new()),
            Err(errno) => Err(errno),
        }
    }
}
