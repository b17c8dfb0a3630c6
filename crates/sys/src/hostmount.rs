//! Mounts in the daemon's own folders.

use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use std::ffi::CString;
use std::io;
use std::path::Path;

/// Mounts a tmpfs for shared memory (`nosuid,nodev,noexec`, mode 1777) of `size` bytes.
pub fn shared_memory(target: &Path, size: u64) -> io::Result<()> {
    let options = CString::new(format!("mode=1777,size={size}"))?;
    let flags = MountFlags::NOSUID | MountFlags::NODEV | MountFlags::NOEXEC;
    Ok(mount("shm", target, "tmpfs", flags, options.as_c_str())?)
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
