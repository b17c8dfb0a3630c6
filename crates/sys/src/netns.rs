//! Network namespaces pinned as files. A namespace is made by a thread of its own, which ends with the call, so that no
//! other thread of the caller ever changes its network.

use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fmt;
use std::io;
use std::os::fd::{AsRawFd, OwnedFd};
use std::path::Path;

/// The step that failed and its errno.
#[derive(Debug)]
pub struct NetnsError {
    pub step: &'static str,
    pub source: io::Error,
}

impl fmt::Display for NetnsError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "cannot {}", self.step)
    }
}

impl std::error::Error for NetnsError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        Some(&self.source)
    }
}

/// Makes a network namespace with its loopback up and pins it by a bind mount on `path`, which must not exist.
/// A failure leaves neither file nor mount. Blocks for about a millisecond.
pub fn create(path: &Path) -> Result<(), NetnsError> {
    let flags = OFlags::RDONLY | OFlags::CREATE | OFlags::EXCL | OFlags::CLOEXEC;
    let file = rustix::fs::open(path, flags, Mode::RUSR).map_err(|e| failed("create the file", e))?;
    drop(file);
    let target = path.to_path_buf();
    let thread = std::thread::Builder::new().name("netns".into()).spawn(move || make(&target));
    let made = match thread.map(std::thread::JoinHandle::join) {
        Ok(Ok(made)) => made,
        Ok(Err(_)) => Err(failed("finish the thread", Errno::IO)),
        Err(source) => Err(NetnsError { step: "start a thread", source }),
    };
    if made.is_err() {
        // The file was made three steps above and nothing is mounted on it; the first error is the one to report.
        std::fs::remove_file(path).ok();
    }
    made
}

/// Unmounts and removes a pinned namespace. A path that is not there is not an error.
pub fn remove(path: &Path) -> Result<(), NetnsError> {
    match rustix::mount::unmount(path, rustix::mount::UnmountFlags::DETACH | rustix::mount::UnmountFlags::NOFOLLOW) {
        Ok(()) | Err(Errno::NOENT | Errno::INVAL) => {}
        Err(e) => return Err(failed("unmount", e)),
    }
    match std::fs::remove_file(path) {
        Err(source) if source.kind() != io::ErrorKind::NotFound => Err(NetnsError { step: "remove the file", source }),
        _ => Ok(()),
    }
}

fn make(target: &Path) -> Result<(), NetnsError> {
    // SAFETY: rustix marks unshare unsafe because of CLONE_FILES, which is not passed; CLONE_NEWNET changes only this
    // thread, which was spawned for it by `create` and ends after this function.
    unsafe { rustix::thread::unshare_unsafe(rustix::thread::UnshareFlags::NEWNET) }
        .map_err(|e| failed("unshare the network namespace", e))?;
    loopback_up()?;
    rustix::mount::mount_bind("/proc/thread-self/ns/net", target).map_err(|e| failed("bind the namespace", e))
}

/// Sets IFF_UP on `lo` of the calling thread's namespace.
fn loopback_up() -> Result<(), NetnsError> {
    let socket: OwnedFd = rustix::net::socket_with(
        rustix::net::AddressFamily::INET,
        rustix::net::SocketType::DGRAM,
        rustix::net::SocketFlags::CLOEXEC,
        None,
    )
    .map_err(|e| failed("open a socket", e))?;
    // SAFETY: ifreq is plain old data; all zeroes is a valid value.
    let mut request: libc::ifreq = unsafe { std::mem::zeroed() };
    request.ifr_name[0] = b'l'.cast_signed() as libc::c_char;
    request.ifr_name[1] = b'o'.cast_signed() as libc::c_char;
    request.ifr_ifru.ifru_flags = (libc::IFF_UP | libc::IFF_RUNNING) as libc::c_short;
    // SAFETY: SIOCSIFFLAGS reads one ifreq, which `request` is and outlives the call; the socket is open.
    let done = unsafe { libc::ioctl(socket.as_raw_fd(), libc::SIOCSIFFLAGS as _, &raw const request) };
    if done == 0 {
        return Ok(());
    }
    Err(NetnsError { step: "bring up the loopback", source: io::Error::last_os_error() })
}

fn failed(step: &'static str, errno: Errno) -> NetnsError {
    NetnsError { step, source: errno.into() }
}
