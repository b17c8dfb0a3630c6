//! Mounts in the daemon's own folders.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, mount_bind, unmount};
use std::ffi::CString;
use std::io;
use std::os::fd::{AsFd, AsRawFd};
use std::path::Path;

/// Mounts a tmpfs for shared memory (`nosuid,nodev,noexec`, mode 1777) of `size` bytes.
pub fn shared_memory(target: &Path, size: u64) -> io::Result<()> {
    let options = CString::new(format!("mode=1777,size={size}"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("shm", target, "tmpfs", flags, options.as_c_str())?)
}

/// Binds an open namespace file to the new file `target` (0400), which keeps the namespace and lets others open it there.
pub fn pin_namespace(namespace: impl AsFd, target: &Path) -> io::Result<()> {
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC | OFlags::NOFOLLOW;
    drop(rustix::fs::open(target, flags, Mode::RUSR)?);
    Ok(mount_bind(format!("/proc/self/fd/{}", namespace.as_fd().as_raw_fd()), target)?)
}

/// Detaches every mount stacked on `target`. Nothing mounted, or nothing there, is not an error.
pub fn detach_all(target: &Path) -> io::Result<()> {
    loop {
        match unmount(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            // EINVAL: not a mount point.
            Err(Errno::INVAL | Errno::NOENT | Errno::NOTDIR) => return Ok(()),
            Err(errno) => return Err(errno.into()),
        }
    }
}
