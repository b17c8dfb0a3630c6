//! Pseudo-terminals of a given devpts instance.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::pty::OpenptFlags;
use std::os::fd::{AsFd, OwnedFd};

const DEVPTS_SUPER_MAGIC: i64 = 0x1cd1;

/// A master and its slave.
#[derive(Debug)]
pub struct Pty {
    pub master: OwnedFd,
    pub slave: OwnedFd,
    /// Index under the devpts root.
    pub number: u32,
}

/// Makes a terminal in the devpts instance whose root directory is `devpts`. The slave is opened through the master
/// (TIOCGPTPEER, Linux 4.13), never by path, and both must be on devpts (CVE-2025-52565). `EXDEV`: not a devpts.
pub fn open(devpts: impl AsFd) -> Result<Pty, Errno> {
    let on_devpts = |fd: &OwnedFd| match rustix::fs::fstatfs(fd) {
        Ok(stat) if stat.f_type == DEVPTS_SUPER_MAGIC => Ok(()),
        Ok(_) => Err(Errno::XDEV),
        Err(error) => Err(error),
    };
    let flags = OFlags::RDWR | OFlags::NOCTTY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let master = rustix::fs::openat(devpts, "ptmx", flags, Mode::empty())?;
    on_devpts(&master)?;
    rustix::pty::unlockpt(&master)?;
    let slave =
        rustix::pty::ioctl_tiocgptpeer(&master, OpenptFlags::RDWR | OpenptFlags::NOCTTY | OpenptFlags::CLOEXEC)?;
    on_devpts(&slave)?;
    let number = rustix::fs::minor(rustix::fs::fstat(&slave)?.st_rdev);
    Ok(Pty { master, slave, number })
}
