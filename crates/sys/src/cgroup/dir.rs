//! One group's folder: making, writing, joining, killing, removing.

use crate::{file, process};
use rustix::fs::{CWD, Mode, OFlags};
use rustix::io::Errno;
use rustix::process::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// A group's folder in one tree.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    pub path: PathBuf,
}

impl Group {
    /// Makes the folder and its missing parents below `mount`; `each` runs on every folder that was made, outermost first.
    /// Gives the folders made, for undoing.
    pub fn make(
        mount: &Path,
        path: &Path,
        mut each: impl FnMut(&Path) -> io::Result<()>,
    ) -> io::Result<(Self, Vec<PathBuf>)> {
        let mut made = Vec::new();
        let mut tries = 0;
        while let Err(error) = make_missing(mount, path, &mut made, &mut each) {
            // Somebody removed an empty parent between two steps.
            tries += 1;
            if error.kind() != io::ErrorKind::NotFound || tries > 20 {
                return Err(error);
            }
        }
        Ok((Self { path: path.to_owned() }, made))
    }

    /// The v1 `tasks` file, through which a single-threaded process moves itself by writing `0`: 0.2 ms for eight trees
    /// where a pid written to `cgroup.procs` waits 6–16 ms for an RCU grace period.
    pub fn tasks(&self) -> Result<OwnedFd, Errno> {
        rustix::fs::openat(CWD, self.path.join("tasks"), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())
    }

    /// The folder itself, for CLONE_INTO_CGROUP (v2).
    pub fn folder(&self) -> Result<OwnedFd, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        rustix::fs::openat(CWD, &self.path, flags, Mode::empty())
    }

    /// Every process of the group and of the groups below it. An absent group has none.
    pub fn all_processes(&self) -> io::Result<Vec<Pid>> {
        let mut pids = processes(&self.path)?;
        for below in children(&self.path)? {
            pids.extend(Self { path: below }.all_processes()?);
        }
        Ok(pids)
    }

    /// Ends every process of a v2 group and of the groups below it, those being forked too. Linux 5.14; v1 has no such file.
    pub fn kill_now(&self) -> Result<(), Errno> {
        write_file(&self.path, "cgroup.kill", "1")
    }

    /// Whether any process, dying ones too, is in a v2 group or below it.
    pub fn is_populated(&self) -> bool {
        read_file(&self.path, "cgroup.events").is_ok_and(|text| text.lines().any(|line| line == "populated 1"))
    }

    /// Sends `signal` to every process below; one that is gone meanwhile is no error.
    pub fn kill(&self, signal: i32) -> io::Result<usize> {
        let pids = self.all_processes()?;
        for pid in &pids {
            match process::kill(*pid, signal) {
                Ok(()) | Err(Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
        }
        Ok(pids.len())
    }

    /// Removes the folder and the folders below it. `EBUSY`: processes are still in it.
    pub fn remove(&self) -> io::Result<()> {
        match rustix::fs::rmdir(&self.path) {
            Ok(()) | Err(Errno::NOENT) => return Ok(()),
            Err(Errno::BUSY | Errno::NOTEMPTY) => {}
            Err(error) => return Err(error.into()),
        }
        for below in children(&self.path)? {
            Self { path: below }.remove()?;
        }
        match rustix::fs::rmdir(&self.path) {
            Ok(()) | Err(Errno::NOENT) => Ok(()),
            Err(error) => Err(error.into()),
        }
    }
}

fn make_missing(
    mount: &Path,
    path: &Path,
    made: &mut Vec<PathBuf>,
    each: &mut impl FnMut(&Path) -> io::Result<()>,
) -> io::Result<()> {
    let mut missing = Vec::new();
    let mut at = path;
    while at != mount && !at.exists() {
        missing.push(at.to_owned());
        at = at.parent().ok_or(io::ErrorKind::NotFound)?;
    }
    for folder in missing.iter().rev() {
        match rustix::fs::mkdir(folder, Mode::from_raw_mode(0o755)) {
            Ok(()) => made.push(folder.clone()),
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error.into()),
        }
        each(folder)?;
    }
    Ok(())
}

fn children(path: &Path) -> io::Result<Vec<PathBuf>> {
    let entries = match std::fs::read_dir(path) {
        Ok(entries) => entries,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(Vec::new()),
        Err(error) => return Err(error),
    };
    let mut out = Vec::new();
    for entry in entries {
        let entry = entry?;
        if entry.file_type()?.is_dir() {
            out.push(entry.path());
        }
    }
    Ok(out)
}

/// The pids in `cgroup.procs` of one folder, in the caller's pid namespace; processes outside it (shown as 0) are left out.
pub fn processes(folder: &Path) -> io::Result<Vec<Pid>> {
    match file::read_text(&folder.join("cgroup.procs")) {
        Ok(text) => Ok(text.lines().filter_map(|l| l.parse().ok()).filter_map(Pid::from_raw).collect()),
        Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(Vec::new()),
        // ENODEV: the group was removed while it was read.
        Err(error) if error.raw_os_error() == Some(Errno::NODEV.raw_os_error()) => Ok(Vec::new()),
        Err(error) => Err(error),
    }
}

/// Writes one value to a control file in one write.
pub fn write_file(folder: &Path, file: &str, value: &str) -> Result<(), Errno> {
    let fd = rustix::fs::open(folder.join(file), OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty())?;
    let done = rustix::io::write(&fd, value.as_bytes())?;
    if done == value.len() { Ok(()) } else { Err(Errno::IO) }
}

/// A control file's text without the newline at its end.
pub fn read_file(folder: &Path, file: &str) -> io::Result<String> {
    Ok(crate::file::read_text(&folder.join(file))?.trim_end().to_owned())
}
