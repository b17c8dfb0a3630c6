//! `lo` of a new network namespace, brought up from outside while the container's process builds its root: it costs the kernel
//! 0.1 ms that nobody else waits for here.

use crate::fault::At;
use crate::plan::Plan;
use plimsoll_fault::Fault;
use plimsoll_sys::process::Namespaces;
use plimsoll_sys::{SingleThread, loopback, ns};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Whether it is the parent's to do. It may not enter the network namespace of another user namespace, and hooks that the child runs
/// by itself must find the interface.
pub(crate) fn is_ours(plan: &Plan) -> bool {
    let namespaces = &plan.namespaces;
    namespaces.new.has(Namespaces::NET) && !namespaces.own_user() && plan.hooks.create_container.is_empty()
}

/// Enters the network namespace of `init` and comes back.
pub(crate) fn up(token: &SingleThread, init: &OwnedFd) -> Result<(), Fault> {
    let path = "/proc/self/ns/net";
    let own = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()).at(
        "namespace",
        "open",
        path,
        || "cannot open the runtime's own network namespace".into(),
    )?;
    match ns::join(token, init, Namespaces::NET) {
        Ok(()) => {}
        // The process has ended already: it says why itself.
        Err(Errno::SRCH) => return Ok(()),
        Err(error) => {
            return Err(error)
                .at("namespace", "setns", "network", || "cannot enter the container's network namespace".into());
        }
    }
    let done = loopback::up();
    ns::join(token, own, Namespaces::NET)
        .at("namespace", "setns", path, || "cannot go back to the runtime's own network namespace".into())?;
    done.at("namespace", "ioctl", "lo", || "cannot bring up lo".into())
}
