//! Loading of seccomp filters. What a filter says is the caller's business.

use rustix::io::Errno;
use std::os::fd::{FromRawFd, OwnedFd};

/// One classic BPF instruction, laid out as the kernel's `struct sock_filter`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u16,
    /// Instructions to skip when a condition holds.
    pub jt: u8,
    /// Instructions to skip when it does not.
    pub jf: u8,
    pub k: u32,
}

/// `SECCOMP_FILTER_FLAG_*`.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Flags(u32);

impl Flags {
    pub const TSYNC: Self = Self(1);
    pub const LOG: Self = Self(1 << 1);
    pub const SPEC_ALLOW: Self = Self(1 << 2);
    /// The load returns the descriptor on which user notifications arrive.
    pub const NEW_LISTENER: Self = Self(1 << 3);
    /// Lets [`Self::TSYNC`] and [`Self::NEW_LISTENER`] go together (Linux 5.7).
    const TSYNC_ESRCH: Self = Self(1 << 4);
    /// Needs [`Self::NEW_LISTENER`] (Linux 5.19).
    pub const WAIT_KILLABLE_RECV: Self = Self(1 << 5);

    /// The kernel's number.
    pub fn bits(self) -> u32 {
        self.0
    }

    /// From the kernel's number; [`load`] refuses what the kernel does not know.
    pub fn from_bits(bits: u32) -> Self {
        Self(bits)
    }

    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }
}

const SECCOMP_SET_MODE_FILTER: libc::c_ulong = 1;
const SECCOMP_GET_ACTION_AVAIL: libc::c_ulong = 2;

/// Puts `program` on the calling thread (with [`Flags::TSYNC`], on all threads), for good and across `execve`. Gives the
/// listener when [`Flags::NEW_LISTENER`] is set.
///
/// `EACCES`: the thread has neither `no_new_privs` nor CAP_SYS_ADMIN in its user namespace. Which of the two it shall have is
/// the container's configuration, so nothing is set here. `EINVAL`: the kernel knows not every flag or refuses the program.
/// `ESRCH`: another thread has a filter that this one cannot extend.
pub fn load(program: &[Instruction], flags: Flags) -> Result<Option<OwnedFd>, Errno> {
    let len = u16::try_from(program.len()).map_err(|_| Errno::INVAL)?;
    let listen = flags.has(Flags::NEW_LISTENER);
    let flags = if listen && flags.has(Flags::TSYNC) { flags.with(Flags::TSYNC_ESRCH) } else { flags };
    let fprog = libc::sock_fprog { len, filter: program.as_ptr().cast_mut().cast() };
    // SAFETY: `fprog` and the `len` instructions it points to outlive the call, the kernel only reads them, and `Instruction`
    // has the layout of `sock_filter` (repr(C), same fields).
    let got = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            libc::c_ulong::from(flags.0),
            std::ptr::from_ref(&fprog),
        )
    };
    match i32::try_from(got) {
        Ok(-1) | Err(_) => Err(last_errno()),
        Ok(fd) if listen => {
            // SAFETY: with NEW_LISTENER a non-negative result is a fresh descriptor that nobody else owns (the thread id of a
            // failed TSYNC cannot come back here: TSYNC_ESRCH turns it into an errno).
            Ok(Some(unsafe { OwnedFd::from_raw_fd(fd) }))
        }
        Ok(0) => Ok(None),
        // The id of the thread that could not be synchronised.
        Ok(_) => Err(Errno::SRCH),
    }
}

/// Whether the kernel knows a filter's return value, `action` being one of `SECCOMP_RET_*` without data.
pub fn knows_action(action: u32) -> bool {
    // SAFETY: the kernel reads four bytes at the pointer, which are valid for the call.
    let got = unsafe { libc::syscall(libc::SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0_u64, std::ptr::from_ref(&action)) };
    got == 0
}

/// Whether the kernel knows a filter flag.
pub fn knows_flags(flags: Flags) -> bool {
    // SAFETY: a null program; the kernel checks the flags first and then answers EFAULT, so nothing is loaded.
    let got = unsafe {
        libc::syscall(
            libc::SYS_seccomp,
            SECCOMP_SET_MODE_FILTER,
            libc::c_ulong::from(flags.0),
            std::ptr::null::<libc::sock_fprog>(),
        )
    };
    got == -1 && last_errno() == Errno::FAULT
}

fn last_errno() -> Errno {
    Errno::from_io_error(&std::io::Error::last_os_error()).unwrap_or(Errno::INVAL)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_kernel_is_asked_without_loading_anything() {
        const RET_ALLOW: u32 = 0x7fff_0000;
        assert!(knows_action(RET_ALLOW));
        assert!(!knows_action(0x1234_0000));
        assert!(knows_flags(Flags::LOG));
        assert!(!knows_flags(Flags(1 << 30)));
    }
}
