//! Processor time of processes that ended.

use std::time::Duration;

/// User and system time of all children of this process that were waited for, and of theirs.
pub fn children() -> Duration {
    let mut usage = std::mem::MaybeUninit::<libc::rusage>::zeroed();
    // SAFETY: the pointer is to a whole rusage, which the call fills; zeroed it is valid even if the call fails.
    let usage = unsafe {
        libc::getrusage(libc::RUSAGE_CHILDREN, usage.as_mut_ptr());
        usage.assume_init()
    };
    span(usage.ru_utime) + span(usage.ru_stime)
}

/// The kernel never gives negative times.
fn span(time: libc::timeval) -> Duration {
    Duration::from_secs(time.tv_sec.unsigned_abs()) + Duration::from_micros(time.tv_usec.unsigned_abs())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_child_that_worked_is_counted() {
        let before = children();
        let status =
            std::process::Command::new("sh").args(["-c", "i=0; while [ $i -lt 20000 ]; do i=$((i+1)); done"]).status();
        assert!(status.is_ok_and(|status| status.success()) && children() > before);
    }
}
