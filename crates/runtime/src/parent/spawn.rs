//! The clone itself, with the pid namespace dance: `setns` of a pid namespace takes effect in children only, so the parent
//! joins it, clones, and goes back. One clone, no intermediate process.

use crate::fault::At;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::process::{Fork, Namespaces, clone3};
use plimsoll_sys::{SingleThread, ns};
use rustix::io::Errno;
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
    forked.map_err(|error| {
        let fault = Fault::new(Layer::OciRuntime, "clone", "cannot make the container's process");
        let fault = crate::fault::Os::os(fault, "clone3", "", &error.into());
        match error {
            Errno::NOMEM => fault.kind(Kind::FailedPrecondition).hint("the pid namespace's init has ended"),
            Errno::NOSYS => fault.kind(Kind::Unimplemented).hint("clone3 is missing or filtered"),
            _ => fault,
        }
    })
}
