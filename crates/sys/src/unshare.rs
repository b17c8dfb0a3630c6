//! New namespaces for the calling, single-threaded process.

use crate::SingleThread;
use rustix::thread::UnshareFlags;
use std::io;

/// A kind of namespace that a pod shares.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum PodNamespace {
    Ipc,
    Uts,
    /// Holds for children made after the call, not for the caller.
    Pid,
}

impl PodNamespace {
    /// The name under `/proc/<pid>/ns`.
    pub fn name(self) -> &'static str {
        match self {
            Self::Ipc => "ipc",
            Self::Uts => "uts",
            Self::Pid => "pid",
        }
    }

    fn flag(self) -> UnshareFlags {
        match self {
            Self::Ipc => UnshareFlags::NEWIPC,
            Self::Uts => UnshareFlags::NEWUTS,
            Self::Pid => UnshareFlags::NEWPID,
        }
    }
}

/// Puts the calling process into new namespaces of `kinds`.
pub fn unshare(_token: &SingleThread, kinds: &[PodNamespace]) -> io::Result<()> {
    let flags = kinds.iter().fold(UnshareFlags::empty(), |flags, kind| flags | kind.flag());
    // SAFETY: rustix marks unshare unsafe because of CLONE_FILES, which `PodNamespace` cannot express.
    unsafe { rustix::thread::unshare_unsafe(flags) }.map_err(io::Error::from)
}
