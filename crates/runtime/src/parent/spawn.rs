//! The clone itself, with the pid namespace dance: `setns` of a pid namespace takes effect in children only, so the parent
//! joins it, clones, and goes back. One clone, no process in between, unless a user namespace has to be joined first.

use super::talk::died;
use crate::fault::At;
use crate::sync::{Channel, Message};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::process::{self, Fork, Namespaces, clone3, clone3_sibling};
use plimsoll_sys::{SingleThread, ns};
use rustix::io::Errno;
use rustix::process::{DumpableBehavior, Pid};
use std::os::fd::{BorrowedFd, OwnedFd};

/// A pid namespace to be born into, and the caller's own to go back to.
pub(crate) struct PidNamespace<'a> {
    /// A namespace file or a pidfd.
    pub target: BorrowedFd<'a>,
    pub own: &'a OwnedFd,
}

pub(crate) fn spawn(
    token: &SingleThread,
    new: Namespaces,
    pid: Option<PidNamespace<'_>>,
    cgroup: Option<BorrowedFd<'_>>,
) -> Result<Fork, Fault> {
    if let Some(pid) = &pid {
        // What is in that namespace must not look into the child from its first moment on (CVE-2016-9962).
        conceal()?;
        ns::join(token, pid.target, Namespaces::PID)
            .at("namespace", "setns", "pid", || "cannot join the pid namespace".into())?;
    }
    let forked = clone3(token, new, cgroup);
    if matches!(forked, Ok(Fork::Child)) {
        return Ok(Fork::Child);
    }
    if let Some(pid) = &pid {
        ns::join(token, pid.own, Namespaces::PID)
            .at("namespace", "setns", "pid", || "cannot go back to the runtime's own pid namespace".into())?;
    }
    forked.map_err(not_made)
}

/// A process made from inside of a user namespace, which none can leave again: a go-between does `enter`, makes the
/// caller's child as its own sibling, says its pid and ends.
pub(crate) fn spawn_inside(
    token: &SingleThread,
    new: Namespaces,
    cgroup: Option<BorrowedFd<'_>>,
    enter: impl FnOnce(&SingleThread) -> Result<(), Fault>,
) -> Result<Fork, Fault> {
    let (ours, theirs) = Channel::pair().at("clone", "socketpair", "", || "cannot make a channel".into())?;
    let between = match clone3(token, Namespaces::NONE, cgroup).map_err(not_made)? {
        Fork::Parent { child, .. } => child,
        Fork::Child => {
            drop(ours);
            let made = conceal().and_then(|()| enter(token));
            let said = match made.and_then(|()| clone3_sibling(token, new).map_err(not_made)) {
                Ok(Fork::Child) => return Ok(Fork::Child),
                Ok(Fork::Parent { child, .. }) => Message::Born(child.as_raw_nonzero().get()),
                Err(fault) => Message::Failed(fault),
            };
            match theirs.send(&said) {
                Ok(()) => process::exit_now(0),
                Err(_) => process::exit_now(1),
            }
        }
    };
    drop(theirs);
    let said = ours.receive().at("sync", "recv", "", || "the go-between cannot be heard".into());
    process::wait(between).at("clone", "waitpid", "", || "cannot wait for the go-between".into())?;
    let born = match said? {
        Some(Message::Born(pid)) => Pid::from_raw(pid),
        Some(Message::Failed(fault)) => return Err(fault),
        Some(_) | None => None,
    };
    let child = born.ok_or_else(died)?;
    // Nobody but this process can reap it, so the number is still its.
    let pidfd = process::pidfd(child).at("clone", "pidfd_open", "", || "cannot open the container's process".into())?;
    Ok(Fork::Parent { child, pidfd })
}

/// From here to execve nobody else may look into this process or what it makes.
pub(crate) fn conceal() -> Result<(), Fault> {
    rustix::process::set_dumpable_behavior(DumpableBehavior::NotDumpable).at(
        "isolate",
        "prctl",
        "PR_SET_DUMPABLE",
        || "cannot close the process to others".into(),
    )
}

fn not_made(error: Errno) -> Fault {
    let fault = Fault::new(Layer::OciRuntime, "clone", "cannot make the container's process");
    let fault = crate::fault::Os::os(fault, "clone3", "", &error.into());
    match error {
        Errno::NOMEM => fault.kind(Kind::FailedPrecondition).hint("the pid namespace's init has ended"),
        Errno::NOSYS => fault.kind(Kind::Unimplemented).hint("clone3 is missing or filtered"),
        Errno::PERM => fault.hint("without CAP_SYS_ADMIN a container needs a user namespace"),
        Errno::NOSPC | Errno::USERS => fault.hint("too many namespaces, or too deep: /proc/sys/user holds the limits"),
        _ => fault,
    }
}
