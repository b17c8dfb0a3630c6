//! `cri-log PATH`: our half of containerd's `binary://` loggers, for the containers of other shims. Reads descriptors 3 (standard
//! output) and 4 (standard error) to their ends, and writes to 5 that it is ready. A log that was renamed is opened anew before
//! the next line: nobody can tell this process to.

use crate::io::{CHUNK, Format, LineLog, Source};
use plimsoll_fault::{Fault, Layer};
use plimsoll_sys::signals;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::io::Errno;
use std::fs::{File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::Path;
use std::time::Duration;

/// How often a renamed log is noticed while nothing is written, and a full disk is tried again.
const PAUSE: Timespec = Timespec { tv_sec: 0, tv_nsec: 200_000_000 };

pub(crate) fn run(path: &Path) -> Result<(), Fault> {
    if !path.is_absolute() {
        return Err(Fault::invalid("log", format!("cri-log: {path:?} is not an absolute path")));
    }
    // Whoever started this ends it with SIGTERM when its container has ended; what is in the pipes is still to be written.
    signals::block_all().map_err(|e| fault("cannot block signals").because(&e))?;
    let mut log = LineLog::open(path, Format::Cri).map_err(|e| fault(path.to_string_lossy()).because(&e))?;
    let open = |number: u32| File::open(format!("/proc/self/fd/{number}"));
    let sources = open(3).and_then(|out| Ok(vec![(out, Source::Stdout), (open(4)?, Source::Stderr)]));
    let mut sources = sources.map_err(|e| fault("there is nothing to read at descriptors 3 and 4").because(&e))?;
    let ready = OpenOptions::new().write(true).open("/proc/self/fd/5").and_then(|mut ready| ready.write_all(b"\n"));
    ready.map_err(|e| fault("nobody waits at descriptor 5").because(&e))?;
    let mut buffer = vec![0; CHUNK];
    while !sources.is_empty() {
        wait(&sources).map_err(|e| fault("cannot wait for output").because(&e))?;
        insist(|| log.follow());
        sources.retain_mut(|(from, source)| carry(from, *source, &mut log, &mut buffer));
    }
    Ok(())
}

/// Until there may be something to read, or for [`PAUSE`].
fn wait(sources: &[(File, Source)]) -> Result<(), Errno> {
    let mut fds: Vec<_> = sources.iter().map(|(from, _)| PollFd::new(from, PollFlags::IN)).collect();
    match poll(&mut fds, Some(&PAUSE)) {
        Ok(_) | Err(Errno::INTR) => Ok(()),
        Err(errno) => Err(errno),
    }
}

/// Writes what is there; false at the end.
fn carry(from: &mut File, source: Source, log: &mut LineLog, buffer: &mut [u8]) -> bool {
    let mut fds = [PollFd::new(from, PollFlags::IN)];
    if matches!(poll(&mut fds, Some(&Timespec::default())), Ok(0) | Err(_)) {
        return true;
    }
    match from.read(buffer) {
        Err(error) if error.kind() == io::ErrorKind::Interrupted => true,
        Ok(0) | Err(_) => {
            let mut done = log.finish(source);
            while done.is_err() {
                std::thread::sleep(pause());
                done = log.flush();
            }
            false
        }
        Ok(count) => {
            // The log keeps the lines that a full disk does not take.
            if log.append(source, &buffer[..count]).is_err() {
                insist(|| log.flush());
            }
            true
        }
    }
}

/// Tries again until it can be done: a log must wait for its disk.
fn insist(mut act: impl FnMut() -> io::Result<()>) {
    while act().is_err() {
        std::thread::sleep(pause());
    }
}

fn pause() -> Duration {
    Duration::new(PAUSE.tv_sec.unsigned_abs(), u32::try_from(PAUSE.tv_nsec).unwrap_or(0))
}

fn fault(what: impl Into<String>) -> Fault {
    Fault::new(Layer::Shim, "log", what)
}
