//! The shim's own log: lines to the FIFO that containerd keeps for it (`log` in the working directory), or nowhere. A full
//! FIFO loses lines, never time.

use crate::io::{rfc3339_nanos, since_epoch};
use plimsoll_fault::Fault;
use rustix::fs::{FileType, Mode, OFlags};
use std::os::fd::OwnedFd;
use std::time::SystemTime;

#[derive(Debug, Default)]
pub(crate) struct Log {
    fifo: Option<OwnedFd>,
}

impl Log {
    /// Uses the FIFO `log` of the working directory when there is one.
    pub(crate) fn open() -> Self {
        // Open for reading too: a daemon that restarts must not end the log, nor a missing reader fail the open.
        let flags = OFlags::RDWR | OFlags::NONBLOCK | OFlags::CLOEXEC | OFlags::NOFOLLOW;
        let fd = rustix::fs::open("log", flags, Mode::empty()).ok();
        let is_fifo = |fd: &OwnedFd| {
            rustix::fs::fstat(fd).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::Fifo)
        };
        Self { fifo: fd.filter(is_fifo) }
    }

    pub(crate) fn warn(&self, fault: &Fault) {
        let Some(fifo) = &self.fifo else { return };
        let time = rfc3339_nanos(since_epoch(SystemTime::now()));
        let line = format!("time=\"{time}\" level=warning msg={:?} fault={:?}\n", fault.to_string(), fault.to_json());
        // Nobody reads: the line is lost, which the module says.
        rustix::io::write(fifo, line.as_bytes()).ok();
    }
}
