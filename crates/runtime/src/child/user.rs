//! Becoming the root of a user namespace: a new one, or one that is there already.

use crate::fault::At;
use crate::parent::sources::{Sources, Trees, not_joined};
use crate::parent::spawn::conceal;
use crate::parent::users;
use crate::plan::{Plan, ProcessPlan};
use crate::sync::Channel;
use plimsoll_fault::Fault;
use plimsoll_sys::process::Namespaces;
use plimsoll_sys::procfs::Procfs;
use plimsoll_sys::{SingleThread, ns};
use rustix::fs::{Gid, Uid};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Id 0 of the user namespace that this process is in, without the groups of its past.
pub(super) fn become_root() -> Result<(), Fault> {
    let what = || "cannot become the root of the user namespace".to_owned();
    match rustix::thread::set_thread_groups(&[]) {
        // Where setgroups is denied the caller's groups stay: denied so that nobody sheds a group that takes rights away.
        Ok(()) | Err(Errno::PERM) => {}
        Err(error) => return Err(error).at("namespace", "setgroups", "", what),
    }
    rustix::thread::set_thread_res_gid(Gid::ROOT, Gid::ROOT, Gid::ROOT).at("namespace", "setresgid", "", what)?;
    rustix::thread::set_thread_res_uid(Uid::ROOT, Uid::ROOT, Uid::ROOT).at("namespace", "setresuid", "", what)?;
    // With another id the kernel sets this anew, to the sysctl fs.suid_dumpable (prctl(2)).
    conceal()
}

/// What the root is made of, from the parent; without rights it has none to give, and this process has them in its own mount
/// namespace.
pub(super) fn receive_trees(channel: &Channel, plan: &Plan) -> Result<Option<Trees>, Fault> {
    let fds = channel.receive_trees(Trees::count(plan));
    Trees::from_fds(plan, fds.at("sync", "recvmsg", "", || "the runtime sends no mounts".into())?)
}

/// A new time namespace. Its clocks can be set until somebody is in it; joining it by its file puts this process into it,
/// where being born or executing would otherwise be needed (time_namespaces(7)).
pub(super) fn new_clocks(token: &SingleThread, offsets: &OwnedFd, plan: &Plan) -> Result<(), Fault> {
    unshare_clocks(token, offsets, plan)?;
    let proc = Procfs::host().at("namespace", "open", "/proc", || "/proc is not procfs".into())?;
    let what = || "cannot enter the time namespace".to_owned();
    let made = proc.time_for_children().at("namespace", "open", "/proc/self/ns/time_for_children", what)?;
    ns::join(token, made, Namespaces::TIME).at("namespace", "setns", "time", what)
}

/// The next child is born into the new time namespace.
fn unshare_clocks(token: &SingleThread, offsets: &OwnedFd, plan: &Plan) -> Result<(), Fault> {
    ns::unshare(token, Namespaces::TIME)
        .at("namespace", "unshare", "time", || "cannot make the time namespace".into())?;
    let lines = plan.namespaces.clocks.as_bytes();
    if lines.is_empty() {
        return Ok(());
    }
    let written = rustix::io::write(offsets, lines).map(drop);
    written.at("namespace", "write", "/proc/self/timens_offsets", || {
        format!("config.json: /linux/timeOffsets: cannot set {}", plan.namespaces.clocks.trim_end().replace('\n', ", "))
    })
}

/// Of the go-between: the config's namespaces, from which the container's process is then made. A namespace that a joined
/// user namespace does not own must be joined before it, one that the caller may not join after it.
pub(crate) fn join_all(token: &SingleThread, plan: &Plan, sources: &Sources) -> Result<(), Fault> {
    let joins_user = plan.namespaces.joins(Namespaces::USER);
    let clocks = joins_user && plan.namespaces.new.has(Namespaces::TIME);
    let offsets = clocks.then(users::clocks_file).transpose()?;
    if joins_user {
        let proc = Procfs::host().at("isolate", "open", "/proc", || "/proc is not procfs".into())?;
        users::oom_score(&proc, "self", &plan.process)?;
        users::raise_limits(None, &plan.process)?;
    }
    let join = |kind: Namespaces, fd: &OwnedFd| ns::join(token, fd, kind);
    let mut later = Vec::new();
    for (kind, fd) in sources.namespaces.iter().filter(|(kind, _)| *kind != Namespaces::USER) {
        match join(*kind, fd) {
            Err(Errno::PERM) if joins_user => later.push((*kind, fd)),
            other => other.map_err(|error| not_joined(*kind, error))?,
        }
    }
    for (kind, fd) in sources.namespaces.iter().filter(|(kind, _)| *kind == Namespaces::USER) {
        join(*kind, fd).map_err(|error| not_joined(*kind, error))?;
        plan.namespaces.users.as_ref().map_or(Ok(()), users::verify)?;
        become_root()?;
    }
    for (kind, fd) in later {
        join(kind, fd).map_err(|error| not_joined(kind, error))?;
    }
    offsets.map_or(Ok(()), |offsets| unshare_clocks(token, &offsets, plan))
}

/// Of the go-between of an exec: the container's user namespace and its pid namespace, of which the process is made.
pub(crate) fn join_users(
    token: &SingleThread,
    init: &OwnedFd,
    which: Namespaces,
    process: &ProcessPlan,
) -> Result<(), Fault> {
    let proc = Procfs::host().at("isolate", "open", "/proc", || "/proc is not procfs".into())?;
    join(token, init, which, &proc, process)
}

/// What only the host's rights can do, then the container's namespaces by its init, then its root.
pub(super) fn join(
    token: &SingleThread,
    init: &OwnedFd,
    which: Namespaces,
    proc: &Procfs,
    process: &ProcessPlan,
) -> Result<(), Fault> {
    users::oom_score(proc, "self", process)?;
    users::raise_limits(None, process)?;
    ns::join(token, init, which).at("namespace", "setns", "", || "cannot enter the container".into())?;
    become_root()
}
