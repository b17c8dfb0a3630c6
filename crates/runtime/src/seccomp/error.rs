//! Why a profile cannot be compiled.

use std::fmt;

/// Names the place inside `linux.seccomp` and what is wrong with it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Refusal {
    /// JSON pointer below `/linux/seccomp`, for example `/syscalls/3/action`.
    pub pointer: String,
    pub cause: Cause,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Cause {
    /// A name that the spec does not have. Holds what it should have been, and the name.
    Unknown {
        what: &'static str,
        name: String,
    },
    /// Notification of `write`, by which the listener itself is handed over.
    NotifiesWrite,
    /// A rule notifies and nobody would listen.
    NoListener,
    /// `errnoRet` with an action that returns none.
    NoErrno(String),
    /// More than the 16 bits that a filter can return.
    ErrnoTooLarge(u32),
    /// A system call has the arguments 0 to 5.
    ArgumentIndex(u32),
    EmptyName,
    /// The kernel takes at most this many instructions.
    TooLong {
        instructions: usize,
        limit: usize,
    },
}

impl Refusal {
    pub(super) fn new(pointer: impl Into<String>, cause: Cause) -> Self {
        Self { pointer: pointer.into(), cause }
    }
}

impl fmt::Display for Refusal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "/linux/seccomp{}: ", self.pointer)?;
        match &self.cause {
            Cause::Unknown { what, name } => write!(f, "unknown {what} {name:?}"),
            Cause::NotifiesWrite => {
                f.write_str("SCMP_ACT_NOTIFY cannot be used for write, by which the runtime hands over")
            }
            Cause::NoListener => f.write_str("missing, though a rule has SCMP_ACT_NOTIFY"),
            Cause::NoErrno(action) => write!(f, "{action} returns no error number"),
            Cause::ErrnoTooLarge(value) => write!(f, "{value} is no error number"),
            Cause::ArgumentIndex(index) => write!(f, "a system call has no argument {index}"),
            Cause::EmptyName => f.write_str("an empty name is no system call"),
            Cause::TooLong { instructions, limit } => {
                write!(f, "the filter would have {instructions} instructions, the kernel takes {limit}")
            }
        }
    }
}

impl std::error::Error for Refusal {}
