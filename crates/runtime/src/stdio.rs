//! Where a container process reads and writes.

use plimsoll_spec::runtime::ConsoleSize;
use std::os::fd::OwnedFd;

/// Standard input, output and error of a process to be made.
#[derive(Debug, Default)]
pub enum Stdio {
    /// Those of the caller.
    #[default]
    Inherit,
    Fds {
        stdin: OwnedFd,
        stdout: OwnedFd,
        stderr: OwnedFd,
    },
    /// A connected unix stream socket. For a process with `terminal: true` it receives the pty master as one `SCM_RIGHTS`
    /// fd with the slave's name as payload, as runc's `--console-socket`.
    Console {
        socket: OwnedFd,
        /// What the terminal has from the first moment on, in place of the config's: the size of the terminal it is shown on.
        size: Option<ConsoleSize>,
    },
}
