//! `fork` of a single-threaded process: how a long-lived process has work done that may hang or die.

use crate::SingleThread;
use rustix::process::Pid;
use std::convert::Infallible;
use std::io;
use std::os::fd::BorrowedFd;

/// Runs `work` in a forked child, which then exits with the code that `work` returns; it never returns into the caller's
/// code. Returns the child's pid, whose parent the caller is. A panic in `work` ends the child with 101.
///
/// The child has every fd of the caller (see [`keep_only`]), its signal mask, and one thread: the token stays true in it.
pub fn fork(token: &SingleThread, work: impl FnOnce(&SingleThread) -> u8) -> io::Result<Pid> {
    // SAFETY: the token proves that the process has one thread, so the child is a whole copy and no lock of the allocator
    // or the standard library is held by a thread that the child lacks.
    match unsafe { libc::fork() } {
        0 => {
            let code = std::panic::catch_unwind(std::panic::AssertUnwindSafe(|| work(token))).unwrap_or(101);
            exit_now(code)
        }
        pid => Pid::from_raw(pid).filter(|_| pid > 0).ok_or_else(io::Error::last_os_error),
    }
}

fn exit_now(code: u8) -> ! {
    // SAFETY: _exit takes any number and runs no handlers, so buffers of the parent's copy are not written twice.
    unsafe { libc::_exit(i32::from(code)) }
}

/// Closes every fd of a forked child but the standard three and `kept`. Only for the `work` of [`fork`], before it opens
/// anything, and its owners of other fds must never be dropped or used there: `work` must end by returning.
pub fn keep_only(kept: &[BorrowedFd<'_>]) -> io::Result<()> {
    Ok(crate::process::close_from(3, kept)?)
}

/// Puts `fds` at the numbers from `first` on, open across exec; what is there is closed. Only in a forked child that is about to
/// become another program.
pub fn place(fds: &[BorrowedFd<'_>], first: i32) -> io::Result<()> {
    let beyond = first.saturating_add(i32::try_from(fds.len()).unwrap_or(i32::MAX));
    // First out of each other's way.
    let copies = fds.iter().map(|fd| rustix::io::fcntl_dupfd_cloexec(fd, beyond)).collect::<Result<Vec<_>, _>>()?;
    for (number, copy) in (first..).zip(&copies) {
        // SAFETY: dup2 takes any two numbers. That nobody in this process owns `number` any more is the caller's word: it is a
        // forked child, of which no owner is used or dropped again.
        if unsafe { libc::dup2(std::os::fd::AsRawFd::as_raw_fd(copy), number) } < 0 {
            return Err(io::Error::last_os_error());
        }
    }
    Ok(())
}

/// Sleeps for ever while the kernel reaps every child: what PID 1 of a namespace that several containers share must do.
pub fn reap_for_ever() -> io::Result<Infallible> {
    // SAFETY: SIG_IGN installs no handler of ours; for SIGCHLD it has the kernel reap.
    if unsafe { libc::signal(libc::SIGCHLD, libc::SIG_IGN) } == libc::SIG_ERR {
        return Err(io::Error::last_os_error());
    }
    loop {
        // SAFETY: pause takes nothing and touches no memory.
        unsafe { libc::pause() };
    }
}
