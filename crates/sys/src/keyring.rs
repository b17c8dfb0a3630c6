//! The session keyring.

use crate::errno;
use rustix::io::Errno;
use std::ffi::CString;

/// Joins a new session keyring of that name. `ENOSYS`: the kernel has no keyrings.
pub fn join_session(name: &str) -> Result<(), Errno> {
    const KEYCTL_JOIN_SESSION_KEYRING: libc::c_int = 1;
    let name = CString::new(name).map_err(|_| Errno::INVAL)?;
    // SAFETY: the name is a C string that outlives the call and is only read.
    let got = unsafe { libc::syscall(libc::SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, name.as_ptr()) };
    if got < 0 { Err(errno::last()) } else { Ok(()) }
}
