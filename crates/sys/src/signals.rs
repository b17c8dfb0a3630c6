//! Signals by name and number, and taking them as data.

use crate::errno;
use rustix::io::Errno;

const NAMES: [(&str, i32); 33] = [
    ("ABRT", libc::SIGABRT),
    ("ALRM", libc::SIGALRM),
    ("BUS", libc::SIGBUS),
    ("CHLD", libc::SIGCHLD),
    ("CLD", libc::SIGCHLD),
    ("CONT", libc::SIGCONT),
    ("FPE", libc::SIGFPE),
    ("HUP", libc::SIGHUP),
    ("ILL", libc::SIGILL),
    ("INT", libc::SIGINT),
    ("IO", libc::SIGIO),
    ("IOT", libc::SIGIOT),
    ("KILL", libc::SIGKILL),
    ("PIPE", libc::SIGPIPE),
    ("POLL", libc::SIGPOLL),
    ("PROF", libc::SIGPROF),
    ("PWR", libc::SIGPWR),
    ("QUIT", libc::SIGQUIT),
    ("SEGV", libc::SIGSEGV),
    ("STKFLT", libc::SIGSTKFLT),
    ("STOP", libc::SIGSTOP),
    ("SYS", libc::SIGSYS),
    ("TERM", libc::SIGTERM),
    ("TRAP", libc::SIGTRAP),
    ("TSTP", libc::SIGTSTP),
    ("TTIN", libc::SIGTTIN),
    ("TTOU", libc::SIGTTOU),
    ("URG", libc::SIGURG),
    ("USR1", libc::SIGUSR1),
    ("USR2", libc::SIGUSR2),
    ("VTALRM", libc::SIGVTALRM),
    ("WINCH", libc::SIGWINCH),
    ("XCPU", libc::SIGXCPU),
];

/// `9`, `KILL`, `SIGKILL`, `sigkill`, `RTMIN+3`, `RTMAX-1`: the signal's number, from 1 to 64; or 0, which only asks whether the
/// process is there (kill(2)).
pub fn parse(text: &str) -> Option<i32> {
    if let Ok(number) = text.parse::<i32>() {
        return (0..=64).contains(&number).then_some(number);
    }
    let upper = text.to_ascii_uppercase();
    let name = upper.strip_prefix("SIG").unwrap_or(&upper);
    if let Some(rest) = name.strip_prefix("RTMIN") {
        return realtime(34, rest);
    }
    if let Some(rest) = name.strip_prefix("RTMAX") {
        return realtime(64, rest);
    }
    if name == "XFSZ" {
        return Some(libc::SIGXFSZ);
    }
    NAMES.iter().find(|(known, _)| *known == name).map(|(_, number)| *number)
}

fn realtime(base: i32, offset: &str) -> Option<i32> {
    let offset = if offset.is_empty() { 0 } else { offset.parse::<i32>().ok()? };
    let number = base.checked_add(offset)?;
    (34..=64).contains(&number).then_some(number)
}

/// Blocks every signal; they are then taken by [`take`], ignored ones too (a blocked signal is never discarded).
pub fn block_all() -> Result<(), Errno> {
    mask(libc::SIG_SETMASK, true)
}

/// Gives SIGCHLD its default action: while it is ignored the kernel reaps children by itself.
pub fn keep_children() -> Result<(), Errno> {
    // SAFETY: SIG_DFL installs no handler.
    let got = unsafe { libc::signal(libc::SIGCHLD, libc::SIG_DFL) };
    if got == libc::SIG_ERR { Err(errno::last()) } else { Ok(()) }
}

/// Gives SIGPIPE its default action, which the Rust runtime takes away: a program whose reader has gone ends as others do.
pub fn end_by_broken_pipe() -> Result<(), Errno> {
    // SAFETY: SIG_DFL installs no handler.
    let got = unsafe { libc::signal(libc::SIGPIPE, libc::SIG_DFL) };
    if got == libc::SIG_ERR { Err(errno::last()) } else { Ok(()) }
}

/// Unblocks every signal and gives each its default action again: what a program expects to be started with.
pub fn reset() -> Result<(), Errno> {
    for signal in 1..=64 {
        // SAFETY: SIG_DFL installs no handler. Numbers the C library keeps for itself, KILL and STOP give EINVAL.
        unsafe { libc::signal(signal, libc::SIG_DFL) };
    }
    mask(libc::SIG_SETMASK, false)
}

fn mask(how: libc::c_int, full: bool) -> Result<(), Errno> {
    // SAFETY: sigset_t is plain bits; both calls only write and read it.
    let got = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        if full {
            libc::sigfillset(&mut set);
        }
        libc::sigprocmask(how, &set, std::ptr::null_mut())
    };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// Waits for the next blocked signal and returns its number.
pub fn take() -> Result<i32, Errno> {
    // SAFETY: the set and the siginfo are local; the kernel writes the latter (which may be null).
    let got = unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut set);
        libc::sigwaitinfo(&set, std::ptr::null_mut())
    };
    if got > 0 { Ok(got) } else { Err(errno::last()) }
}

/// A descriptor that becomes readable when a blocked signal is pending; [`read`] takes it.
pub fn descriptor() -> Result<std::os::fd::OwnedFd, Errno> {
    use std::os::fd::FromRawFd;
    // SAFETY: the set is local; on success the descriptor is fresh and nobody else's.
    unsafe {
        let mut set: libc::sigset_t = std::mem::zeroed();
        libc::sigfillset(&mut set);
        let fd = libc::signalfd(-1, &set, libc::SFD_CLOEXEC | libc::SFD_NONBLOCK);
        if fd < 0 { Err(errno::last()) } else { Ok(std::os::fd::OwnedFd::from_raw_fd(fd)) }
    }
}

/// The next pending signal of a [`descriptor`], or none.
pub fn read(descriptor: impl std::os::fd::AsFd) -> Result<Option<i32>, Errno> {
    let mut info = [0u8; std::mem::size_of::<libc::signalfd_siginfo>()];
    match rustix::io::read(descriptor, &mut info) {
        Ok(n) if n == info.len() => {
            let number = u32::from_ne_bytes([info[0], info[1], info[2], info[3]]);
            Ok(i32::try_from(number).ok())
        }
        Ok(_) | Err(Errno::AGAIN) => Ok(None),
        Err(error) => Err(error),
    }
}

#[cfg(test)]
mod tests {
    use super::parse;

    #[test]
    fn names_numbers_and_real_time() {
        for text in ["9", "KILL", "SIGKILL", "sigkill"] {
            assert_eq!(parse(text), Some(9), "{text}");
        }
        assert_eq!(parse("RTMIN+3"), Some(37));
        assert_eq!(parse("SIGRTMAX-1"), Some(63));
        assert_eq!(parse("0"), Some(0), "asks only");
        for text in ["", "65", "-1", "NOPE", "RTMIN-1", "RTMAX+1"] {
            assert_eq!(parse(text), None, "{text}");
        }
    }
}
