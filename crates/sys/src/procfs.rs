//! `/proc` of this mount namespace as a verified descriptor: what is written through it cannot be redirected by a mount or a
//! link that somebody else made (CVE-2025-52881).

use crate::process::Namespaces;
use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, OwnedFd};

const PROC_SUPER_MAGIC: i64 = 0x9fa0;

/// A procfs root whose filesystem magic has been checked.
#[derive(Debug)]
pub struct Procfs(OwnedFd);

impl Procfs {
    /// The `/proc` of this mount namespace: to be opened before any container's is entered.
    pub fn host() -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        Self::verified(rustix::fs::open("/proc", flags, Mode::empty())?)
    }

    /// A private instance that is attached nowhere: shows the pid namespace of the caller and has no mounts on top.
    pub fn private() -> Result<Self, Errno> {
        Self::verified(crate::mount::new("proc", None, &[], 0).map_err(|e| e.errno)?)
    }

    fn verified(fd: OwnedFd) -> Result<Self, Errno> {
        if holds(&fd)? { Ok(Self(fd)) } else { Err(Errno::XDEV) }
    }

    /// Opens a file of procfs itself: no mount, no magic link and no `..` on the way. `path` is relative.
    pub fn open(&self, path: &str, flags: OFlags) -> Result<OwnedFd, Errno> {
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_XDEV | ResolveFlags::NO_MAGICLINKS;
        rustix::fs::openat2(self.0.as_fd(), path, flags | OFlags::CLOEXEC, Mode::empty(), resolve)
    }

    /// The pid that this instance knows the caller by.
    pub fn own_pid(&self) -> Result<i32, Errno> {
        let link = rustix::fs::readlinkat(&self.0, "self", Vec::new())?;
        link.to_str().ok().and_then(|text| text.parse().ok()).ok_or(Errno::SRCH)
    }

    /// Writes `value` in one write.
    pub fn write(&self, path: &str, value: &[u8]) -> Result<(), Errno> {
        let file = self.open(path, OFlags::WRONLY)?;
        let done = rustix::io::write(&file, value)?;
        if done == value.len() { Ok(()) } else { Err(Errno::IO) }
    }

    /// Opens a namespace file of a process (a magic link, on purpose): `pid` is `self` or a number.
    pub fn namespace(&self, pid: &str, which: Namespaces) -> Result<OwnedFd, Errno> {
        let name = name(which).ok_or(Errno::INVAL)?;
        let dir = self.open(&format!("{pid}/ns"), OFlags::PATH | OFlags::DIRECTORY)?;
        rustix::fs::openat(&dir, name, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }
}

/// Whether a descriptor is of a file in some procfs.
pub fn holds(file: impl AsFd) -> Result<bool, Errno> {
    Ok(rustix::fs::fstatfs(file)?.f_type == PROC_SUPER_MAGIC)
}

impl Procfs {
    /// The root of a process (a magic link, on purpose), in that process's mount namespace.
    pub fn root(&self, pid: &str) -> Result<OwnedFd, Errno> {
        let dir = self.open(pid, OFlags::PATH | OFlags::DIRECTORY)?;
        rustix::fs::openat(&dir, "root", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
    }

    /// The time namespace that the caller's next child would be born into.
    pub fn time_for_children(&self) -> Result<OwnedFd, Errno> {
        let dir = self.open("self/ns", OFlags::PATH | OFlags::DIRECTORY)?;
        rustix::fs::openat(&dir, "time_for_children", OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())
    }
}

/// The name of one namespace kind under `/proc/<pid>/ns`.
fn name(which: Namespaces) -> Option<&'static str> {
    let all = [
        (Namespaces::MOUNT, "mnt"),
        (Namespaces::CGROUP, "cgroup"),
        (Namespaces::UTS, "uts"),
        (Namespaces::IPC, "ipc"),
        (Namespaces::USER, "user"),
        (Namespaces::PID, "pid"),
        (Namespaces::NET, "net"),
        (Namespaces::TIME, "time"),
    ];
    all.iter().find(|(kind, _)| *kind == which).map(|(_, name)| *name)
}
