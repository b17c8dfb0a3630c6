//! Making processes and waiting for them: clone3 (which rustix lacks), exec by descriptor, exit statuses, close_range.

use crate::{SingleThread, errno};
use rustix::io::Errno;
use rustix::process::{Pid, PidfdFlags, Signal, WaitOptions, WaitStatus};
use std::ffi::{CStr, CString};
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, FromRawFd, OwnedFd};
use std::os::unix::process::CommandExt;
use std::process::Command;

/// `CLONE_NEW*` flags: the namespaces a child is born into.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Namespaces(u64);

impl Namespaces {
    pub const NONE: Self = Self(0);
    pub const MOUNT: Self = Self(libc::CLONE_NEWNS as u64);
    pub const CGROUP: Self = Self(libc::CLONE_NEWCGROUP as u64);
    pub const UTS: Self = Self(libc::CLONE_NEWUTS as u64);
    pub const IPC: Self = Self(libc::CLONE_NEWIPC as u64);
    pub const USER: Self = Self(libc::CLONE_NEWUSER as u64);
    pub const PID: Self = Self(libc::CLONE_NEWPID as u64);
    pub const NET: Self = Self(libc::CLONE_NEWNET as u64);
    pub const TIME: Self = Self(0x80);

    #[must_use]
    pub fn with(self, other: Self) -> Self {
        Self(self.0 | other.0)
    }

    #[must_use]
    pub fn without(self, other: Self) -> Self {
        Self(self.0 & !other.0)
    }

    pub fn has(self, other: Self) -> bool {
        self.0 & other.0 == other.0
    }

    pub fn is_none(self) -> bool {
        self.0 == 0
    }

    /// The kernel's flags.
    pub fn bits(self) -> u64 {
        self.0
    }

    /// What [`Self::bits`] gave, for records on disk; flags that name no namespace are dropped.
    #[must_use]
    pub fn from_bits(bits: u64) -> Self {
        let all = [Self::MOUNT, Self::CGROUP, Self::UTS, Self::IPC, Self::USER, Self::PID, Self::NET, Self::TIME];
        all.into_iter().filter(|one| bits & one.0 != 0).fold(Self::NONE, Self::with)
    }
}

/// Which of the two processes this is.
#[derive(Debug)]
pub enum Fork {
    Parent { child: Pid, pidfd: OwnedFd },
    Child,
}

const CLONE_PIDFD: u64 = 0x1000;
const CLONE_INTO_CGROUP: u64 = 0x2_0000_0000;

/// Copies the calling process, without an exec, into new `namespaces` and, with a cgroup v2 directory, into that cgroup
/// (Linux 5.7). The child gets SIGCHLD as exit signal and goes on in the same function.
pub fn clone3(token: &SingleThread, namespaces: Namespaces, cgroup: Option<BorrowedFd<'_>>) -> Result<Fork, Errno> {
    let mut args = neutral(namespaces);
    args.exit_signal = libc::SIGCHLD as u64;
    if let Some(cgroup) = cgroup {
        args.flags |= CLONE_INTO_CGROUP;
        args.cgroup = cgroup.as_raw_fd() as u64;
    }
    copy(token, args)
}

/// As [`clone3`], but the child is the caller's sibling: its parent, and who must reap it, is the caller's parent.
pub fn clone3_sibling(token: &SingleThread, namespaces: Namespaces) -> Result<Fork, Errno> {
    let mut args = neutral(namespaces);
    // The exit signal is the caller's own then and must not be given.
    args.flags |= libc::CLONE_PARENT as u64;
    copy(token, args)
}

fn neutral(namespaces: Namespaces) -> libc::clone_args {
    // SAFETY: clone_args is plain integers; all zero is its neutral value.
    let mut args: libc::clone_args = unsafe { std::mem::zeroed() };
    args.flags = namespaces.bits();
    args
}

/// `args` must not ask for a shared memory (CLONE_VM), which nothing here does.
fn copy(_: &SingleThread, mut args: libc::clone_args) -> Result<Fork, Errno> {
    let mut pidfd: libc::c_int = -1;
    args.flags |= CLONE_PIDFD;
    args.pidfd = std::ptr::from_mut(&mut pidfd) as u64;
    // SAFETY: no CLONE_VM, so the child has its own copy of the memory and its stack. The token proves that no other thread
    // could hold a lock (allocator, stdio) at the moment of the copy.
    let got = unsafe {
        libc::syscall(libc::SYS_clone3, std::ptr::from_mut(&mut args), std::mem::size_of::<libc::clone_args>())
    };
    match got {
        -1 => Err(errno::last()),
        0 => Ok(Fork::Child),
        child => {
            // SAFETY: with CLONE_PIDFD the kernel stored a fresh descriptor that nobody else owns.
            let pidfd = unsafe { OwnedFd::from_raw_fd(pidfd) };
            let child = i32::try_from(child).ok().and_then(Pid::from_raw).ok_or(Errno::INVAL)?;
            Ok(Fork::Parent { child, pidfd })
        }
    }
}

/// A pidfd for a process that need not be a child. `ESRCH`: no such process.
pub fn pidfd(pid: Pid) -> Result<OwnedFd, Errno> {
    rustix::process::pidfd_open(pid, PidfdFlags::empty())
}

/// How a process ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Exit {
    Code(i32),
    Signal(i32),
}

impl Exit {
    /// The shell's convention: the code, or 128 + signal.
    pub fn code(self) -> i32 {
        match self {
            Self::Code(code) => code,
            Self::Signal(signal) => 128 + signal,
        }
    }

    pub fn from_status(status: WaitStatus) -> Option<Self> {
        if let Some(code) = status.exit_status() {
            return Some(Self::Code(code));
        }
        status.terminating_signal().map(Self::Signal)
    }
}

/// Blocks until the child ends, and reaps it.
pub fn wait(child: Pid) -> Result<Exit, Errno> {
    loop {
        match rustix::process::waitpid(Some(child), WaitOptions::empty()) {
            Ok(Some((_, status))) => {
                if let Some(exit) = Exit::from_status(status) {
                    return Ok(exit);
                }
            }
            Ok(None) | Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// Reaps the child if it has ended.
pub fn try_wait(child: Pid) -> Result<Option<Exit>, Errno> {
    match rustix::process::waitpid(Some(child), WaitOptions::NOHANG)? {
        Some((_, status)) => Ok(Exit::from_status(status)),
        None => Ok(None),
    }
}

/// `execve`. Returns only on failure.
pub fn exec(path: &CStr, args: &[CString], env: &[CString]) -> Errno {
    let args = pointers(args);
    let env = pointers(env);
    // SAFETY: both arrays end with null and their strings, borrowed from the caller, outlive the call.
    unsafe { libc::execve(path.as_ptr(), args.as_ptr(), env.as_ptr()) };
    errno::last()
}

/// `execveat` of an open file with this process's own environment. Returns only on failure.
///
/// No other thread may be changing the environment.
pub fn exec_fd(_: &SingleThread, file: impl AsFd, args: &[CString]) -> Errno {
    unsafe extern "C" {
        /// environ(7)
        static environ: *const *const libc::c_char;
    }
    let args = pointers(args);
    // SAFETY: both arrays end with null and their strings outlive the call: there is no other thread that could change the
    // environment. The path is the empty C string that AT_EMPTY_PATH asks for.
    unsafe {
        libc::syscall(
            libc::SYS_execveat,
            file.as_fd().as_raw_fd(),
            c"".as_ptr(),
            args.as_ptr(),
            environ,
            libc::AT_EMPTY_PATH,
        )
    };
    errno::last()
}

fn pointers(strings: &[CString]) -> Vec<*const libc::c_char> {
    strings.iter().map(|s| s.as_ptr()).chain(std::iter::once(std::ptr::null())).collect()
}

/// Ends the process at once, running no destructor and no exit handler: what a cloned child does instead of returning.
pub fn exit_now(code: i32) -> ! {
    // SAFETY: _exit has no preconditions.
    unsafe { libc::_exit(code) }
}

/// Sets close-on-exec on every descriptor from `first` up (Linux 5.11): what the runtime opened, or inherited unasked,
/// never reaches a program that it starts (CVE-2024-21626).
pub fn close_on_exec_from(first: u32) -> Result<(), Errno> {
    const CLOSE_RANGE_CLOEXEC: libc::c_uint = 4;
    // SAFETY: marks descriptors only; none is closed, so no owner is invalidated.
    let got = unsafe { libc::syscall(libc::SYS_close_range, first, u32::MAX, CLOSE_RANGE_CLOEXEC) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// Closes every descriptor from `first` up but `kept` (close_range, Linux 5.9). Only for a cloned child that never returns
/// into its parent's code: owners of other descriptors, in its copy of the parent's memory, must not be used or dropped.
pub fn close_from(first: u32, kept: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut numbers: Vec<u32> = kept.iter().map(|fd| fd.as_raw_fd().cast_unsigned()).collect();
    numbers.sort_unstable();
    let mut first = first;
    for number in numbers {
        if number < first {
            continue;
        }
        if number > first {
            close_span(first, number - 1)?;
        }
        first = number + 1;
    }
    close_span(first, u32::MAX)
}

fn close_span(first: u32, last: u32) -> Result<(), Errno> {
    // SAFETY: close_range touches no memory. The numbers belong to copies of the parent's owners, which the child neither
    // uses nor drops (the contract of `close_from`).
    let got = unsafe { libc::syscall(libc::SYS_close_range, first, last, 0) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// Clears close-on-exec on the inherited descriptors `first..first + count`. `EBADF` names none that is missing: they are
/// skipped.
pub fn keep_over_exec(first: i32, count: u32) -> Result<(), Errno> {
    for fd in (first..).take(count as usize) {
        // SAFETY: F_SETFD on a number changes a flag of the calling process's table; a number that is not open gives EBADF.
        if unsafe { libc::fcntl(fd, libc::F_SETFD, 0) } == -1 && errno::last() != Errno::BADF {
            return Err(errno::last());
        }
    }
    Ok(())
}

/// In a child of `parent`: it is killed when the thread that made it ends (PR_SET_PDEATHSIG), also over an exec. What it makes is not
/// ended so: fork clears the signal. `ESRCH`: the parent has ended already.
pub fn end_with(parent: Pid) -> Result<(), Errno> {
    rustix::process::set_parent_process_death_signal(Some(Signal::KILL))?;
    // It may have ended before, and the signal does not come.
    match rustix::process::getppid() {
        Some(found) if found == parent => Ok(()),
        _ => Err(Errno::SRCH),
    }
}

/// [`end_with`] the caller, for a program that it is about to start.
pub fn end_with_caller(command: &mut Command) {
    let caller = rustix::process::getpid();
    // SAFETY: the closure makes two system calls and neither allocates nor takes a lock.
    unsafe { command.pre_exec(move || end_with(caller).map_err(Into::into)) };
}

/// Sends a signal by number (real-time ones too) to a process.
pub fn signal(pidfd: impl AsFd, signal: i32) -> Result<(), Errno> {
    // SAFETY: a null siginfo asks for the same as kill(2); flags must be 0.
    let got = unsafe {
        libc::syscall(
            libc::SYS_pidfd_send_signal,
            pidfd.as_fd().as_raw_fd(),
            signal,
            std::ptr::null::<libc::siginfo_t>(),
            0,
        )
    };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// Sends a signal by number to a pid. Only for pids read from a cgroup that is still there.
pub fn kill(pid: Pid, signal: i32) -> Result<(), Errno> {
    // SAFETY: kill has no memory preconditions; Pid is positive, so never a group.
    let got = unsafe { libc::kill(pid.as_raw_nonzero().get(), signal) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// `personality`: the execution domain that the calling thread and its children present themselves as.
pub fn set_personality(domain: u32) -> Result<(), Errno> {
    // SAFETY: takes a number only.
    let got = unsafe { libc::personality(libc::c_ulong::from(domain)) };
    if got == -1 { Err(errno::last()) } else { Ok(()) }
}
