//! The host as a container's mount namespace has it: what is copied there keeps the locks of a less privileged namespace.

use crate::fault::At;
use plimsoll_fault::Fault;
use plimsoll_sys::process::Namespaces;
use plimsoll_sys::procfs::Procfs;
use plimsoll_sys::{SingleThread, ns};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Does `work` in the mount namespace of the process `pid`, below that process's root, with the caller's own rights, and comes
/// back to the caller's namespace, root and working directory. `None`: the caller has no right to go there.
pub(super) fn run<T>(
    token: &SingleThread,
    proc: &Procfs,
    pid: i32,
    work: impl FnOnce() -> T,
) -> Result<Option<T>, Fault> {
    let what = || "cannot look from the container's mount namespace".to_owned();
    let folder = |path: &str| rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let own = proc.namespace("self", Namespaces::MOUNT).at("mount", "open", "/proc/self/ns/mnt", what)?;
    let (root, here) = (folder("/").at("mount", "open", "/", what)?, folder(".").at("mount", "open", ".", what)?);
    let name = pid.to_string();
    let there = match (proc.namespace(&name, Namespaces::MOUNT), proc.root(&name)) {
        (Ok(namespace), Ok(root)) => (namespace, root),
        (Err(Errno::ACCESS | Errno::PERM), _) | (_, Err(Errno::ACCESS | Errno::PERM)) => return Ok(None),
        (namespace, root) => {
            let open = namespace.and_then(|namespace| root.map(|root| (namespace, root)));
            open.at("mount", "open", format!("/proc/{name}/ns/mnt"), what)?
        }
    };
    let done = match enter(token, &there.0, &there.1) {
        Ok(()) => Ok(Some(work())),
        Err(Errno::PERM) => Ok(None),
        Err(error) => Err(error).at("mount", "setns", format!("/proc/{name}/ns/mnt"), what),
    };
    let back = || "cannot go back to the runtime's own mount namespace".to_owned();
    enter(token, &own, &root).at("mount", "setns", "/proc/self/ns/mnt", back)?;
    rustix::process::fchdir(&here).at("mount", "fchdir", ".", back)?;
    done
}

/// setns leads to the namespace's root, which is not that of a process in a chroot.
fn enter(token: &SingleThread, namespace: &OwnedFd, root: &OwnedFd) -> Result<(), Errno> {
    ns::join(token, namespace, Namespaces::MOUNT)?;
    rustix::process::fchdir(root)?;
    rustix::process::chroot(".")
}
