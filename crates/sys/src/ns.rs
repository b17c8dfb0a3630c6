//! Joining and leaving namespaces.

use crate::process::Namespaces;
use crate::{SingleThread, errno};
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd};

/// `setns`: `target` is a namespace file, or a pidfd (Linux 5.8) whose process's namespaces named by `which` are all joined
/// at once. For a namespace file, `which` states the kind it must have (`NONE`: any).
pub fn join(_: &SingleThread, target: impl AsFd, which: Namespaces) -> Result<(), Errno> {
    let flags = libc::c_int::try_from(which.bits()).map_err(|_| Errno::INVAL)?;
    // SAFETY: the token proves a single thread, so no other thread's view of the world changes under it.
    let got = unsafe { libc::setns(target.as_fd().as_raw_fd(), flags) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// `unshare`: leaves the namespaces of the parent for new ones. `PID` and `TIME` take effect in children only.
pub fn unshare(_: &SingleThread, which: Namespaces) -> Result<(), Errno> {
    let flags = libc::c_int::try_from(which.bits()).map_err(|_| Errno::INVAL)?;
    // SAFETY: as in `join`; CLONE_FILES and CLONE_VM cannot be in `Namespaces`.
    let got = unsafe { libc::unshare(flags) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}
