//! What a child process took, told by the kernel when it is reaped.

use crate::errno;
use crate::process::Exit;
use rustix::io::Errno;
use rustix::process::Pid;
use std::time::Duration;

/// Blocks until the child ends, and reaps it: how it ended, and the user and system time of it and of all that it waited for.
pub fn wait(child: Pid) -> Result<(Exit, Duration), Errno> {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    let mut status = 0;
    loop {
        // SAFETY: both pointers are to whole objects of ours, which the call fills.
        let got = unsafe { libc::wait4(child.as_raw_nonzero().get(), &mut status, 0, usage.as_mut_ptr()) };
        if got > 0 {
            break;
        }
        if errno::last() != Errno::INTR {
            return Err(errno::last());
        }
    }
    // SAFETY: filled by the call; zeroed it was valid already.
    let usage = unsafe { usage.assume_init() };
    let exit = if libc::WIFSIGNALED(status) {
        Exit::Signal(libc::WTERMSIG(status))
    } else {
        Exit::Code(libc::WEXITSTATUS(status))
    };
    Ok((exit, span(usage.ru_utime) + span(usage.ru_stime)))
}

/// The kernel never gives negative times.
fn span(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::process::Command;

    #[test]
    #[expect(clippy::zombie_processes, reason = "reaped by what is tested")]
    fn a_child_that_worked_is_counted() {
        let script = "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done; exit 7";
        let child = Command::new("sh").args(["-c", script]).spawn().expect("a shell");
        let pid = Pid::from_raw(child.id().cast_signed()).expect("a pid");
        let (exit, processor) = wait(pid).expect("reaped");
        assert_eq!(exit, Exit::Code(7));
        assert!(processor > Duration::ZERO);
    }
}
