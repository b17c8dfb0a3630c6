//! User namespaces seen from outside: their mappings, and what a container's root may not do for itself.

use super::inside;
use super::sources::{Sources, Trees};
use crate::fault::{At, Os, bad_config};
use crate::plan::{IdMaps, Plan, ProcessPlan, mapping_lines, parse_mappings, rlimit_name};
use crate::sync::{Channel, Message};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::IdMapping;
use plimsoll_sys::SingleThread;
use plimsoll_sys::process::{self, Fork, Namespaces, clone3};
use plimsoll_sys::procfs::Procfs;
use rustix::fs::OFlags;
use rustix::io::Errno;
use rustix::process::{Pid, Rlimit};
use std::os::fd::OwnedFd;
use std::process::Command;

/// Whether files of an undumpable child can be written by the caller: then the child hides itself before it is mapped.
pub(crate) fn privileged() -> bool {
    rustix::process::geteuid().is_root()
}

/// Whether the caller is no root of the host: another user, or the root of a user namespace.
pub(crate) fn rootless() -> bool {
    let everybody = [IdMapping { container_id: 0, host_id: 0, size: u32::MAX }];
    let initial = || std::fs::read_to_string("/proc/self/uid_map").ok().and_then(|text| parse_mappings(&text));
    !privileged() || initial().is_some_and(|map| map != everybody)
}

/// Gives a child in a user namespace what it needs to go on: the mappings of a new one, and the trees of its root.
pub(crate) fn settle(
    token: &SingleThread,
    plan: &Plan,
    child: Pid,
    sources: &Sources,
    channel: &Channel,
) -> Result<(), Fault> {
    if !plan.namespaces.own_user() {
        return Ok(());
    }
    let proc = host_proc()?;
    let pid = child.as_raw_nonzero().get();
    let what = || "the container's process does not listen".to_owned();
    let new = plan.namespaces.users.as_ref().filter(|_| plan.namespaces.new.has(Namespaces::USER));
    if let Some(maps) = new {
        oom_score(&proc, &pid.to_string(), &plan.process)?;
        raise_limits(Some(child), &plan.process)?;
        map(&proc, pid, maps, "/linux")?;
        channel.send(&Message::Mapped).at("sync", "send", "", what)?;
    }
    let trees = if privileged() { inside::run(token, &proc, pid, || Trees::open(plan))? } else { None };
    let Some(trees) = trees.transpose()? else {
        if let Some(mount) = plan.mounts.iter().find(|mount| mount.idmap.is_some()) {
            return Err(bad_config(&mount.pointer(), "an idmapped mount needs rights over the host's filesystem"));
        }
        return channel.send_trees(&[]).at("sync", "send", "", what);
    };
    let joined = sources.namespaces.iter().find(|(kind, _)| *kind == Namespaces::USER);
    trees.idmap(token, plan, || match joined {
        Some((_, users)) => users.try_clone().at("idmap", "fcntl", "", || "cannot keep the user namespace".into()),
        None => own_namespace(&proc, pid),
    })?;
    channel.send_trees(&trees.fds()).at("sync", "sendmsg", "", what)
}

/// A user namespace that nobody is in, with these mappings: for idmapped mounts.
pub(crate) fn namespace(token: &SingleThread, maps: &IdMaps, pointer: &str) -> Result<OwnedFd, Fault> {
    let (ours, theirs) = Channel::pair().at("idmap", "socketpair", "", || "cannot make a channel".into())?;
    let made = clone3(token, Namespaces::USER, None)
        .at("idmap", "clone3", "", || format!("config.json: {pointer}: cannot make a user namespace"))?;
    let child = match made {
        Fork::Parent { child, .. } => child,
        Fork::Child => {
            drop(ours);
            // Until the parent has what it wants, or is gone.
            match theirs.receive() {
                Ok(_) | Err(_) => process::exit_now(0),
            }
        }
    };
    drop(theirs);
    let proc = host_proc()?;
    let pid = child.as_raw_nonzero().get();
    let mapped = map(&proc, pid, maps, pointer).and_then(|()| own_namespace(&proc, pid));
    drop(ours);
    process::wait(child).at("idmap", "waitpid", "", || "cannot wait for the go-between".into())?;
    mapped
}

fn host_proc() -> Result<Procfs, Fault> {
    Procfs::host().at("namespace", "open", "/proc", || "/proc is not procfs".into())
}

fn own_namespace(proc: &Procfs, pid: i32) -> Result<OwnedFd, Fault> {
    let what = || "cannot open the user namespace just made".to_owned();
    proc.namespace(&pid.to_string(), Namespaces::USER).at("namespace", "open", format!("/proc/{pid}/ns/user"), what)
}

/// The user namespace just joined must be the one that the config describes, if it does.
pub(crate) fn verify(maps: &IdMaps) -> Result<(), Fault> {
    for (file, wanted, pointer) in
        [("uid_map", &maps.uids, "/linux/uidMappings"), ("gid_map", &maps.gids, "/linux/gidMappings")]
    {
        let path = format!("/proc/self/{file}");
        let text = std::fs::read_to_string(&path)
            .at("namespace", "read", &path, || "cannot read the mappings of the user namespace".into())?;
        if parse_mappings(&text).as_ref() != Some(wanted) {
            return Err(bad_config(
                pointer,
                "are not those of the user namespace that is joined: give only one of them",
            ));
        }
    }
    Ok(())
}

/// Written by the kernel's rules if they let us (privileged, or our own id alone), else by newuidmap and newgidmap, which
/// know what `/etc/subuid` and `/etc/subgid` give us.
fn map(proc: &Procfs, pid: i32, maps: &IdMaps, parent: &str) -> Result<(), Fault> {
    if let Err(error) = write(proc, pid, "uid_map", &mapping_lines(&maps.uids)) {
        by_tool("newuidmap", pid, &maps.uids, &format!("{parent}/uidMappings"), error)?;
    }
    let own = rustix::process::getegid().as_raw();
    let lines = mapping_lines(&maps.gids);
    let alone = matches!(maps.gids.as_slice(), [one] if one.size == 1 && one.host_id == own);
    let written = match write(proc, pid, "gid_map", &lines) {
        // Linux 3.19: without a right to the group, only for who gives up setgroups (CVE-2014-8989).
        Err(Errno::PERM) if alone => {
            write(proc, pid, "setgroups", "deny").and_then(|()| write(proc, pid, "gid_map", &lines))
        }
        other => other,
    };
    match written {
        Ok(()) => Ok(()),
        Err(error) => by_tool("newgidmap", pid, &maps.gids, &format!("{parent}/gidMappings"), error),
    }
}

fn write(proc: &Procfs, pid: i32, file: &str, text: &str) -> Result<(), Errno> {
    proc.write(&format!("{pid}/{file}"), text.as_bytes())
}

fn by_tool(tool: &str, pid: i32, list: &[IdMapping], pointer: &str, refused: Errno) -> Result<(), Fault> {
    let fault = || {
        let what = format!("config.json: {pointer}: cannot write the mappings");
        let file = if tool == "newuidmap" { "uid_map" } else { "gid_map" };
        Fault::new(Layer::OciRuntime, "namespace", what)
            .os("write", format!("/proc/{pid}/{file}"), &refused.into())
            .detail(|d| d.pointer = Some(pointer.to_owned()))
    };
    if refused != Errno::PERM {
        return Err(fault());
    }
    let numbers = list.iter().flat_map(|e| [e.container_id, e.host_id, e.size]).map(|number| number.to_string());
    match Command::new(tool).arg(pid.to_string()).args(numbers).output() {
        Ok(done) if done.status.success() => Ok(()),
        Ok(done) => Err(fault()
            .why(format!("{tool}: {}", String::from_utf8_lossy(&done.stderr).trim()))
            .hint("more than the own id needs an entry in /etc/subuid and /etc/subgid")),
        Err(error) => Err(fault()
            .why(format!("{tool}: {error}"))
            .hint("more than the own id needs newuidmap and newgidmap (package uidmap)")),
    }
}

/// `pid` is `self` or a number. Lowering the score needs CAP_SYS_RESOURCE of the host.
pub(crate) fn oom_score(proc: &Procfs, pid: &str, process: &ProcessPlan) -> Result<(), Fault> {
    let Some(value) = process.oom_score_adj else { return Ok(()) };
    proc.write(&format!("{pid}/oom_score_adj"), value.to_string().as_bytes()).map_err(|error| {
        let what = format!("config.json: /process/oomScoreAdj: cannot set {value}");
        let fault = Fault::new(Layer::OciRuntime, "identity", what)
            .os("write", format!("/proc/{pid}/oom_score_adj"), &error.into())
            .detail(|d| d.pointer = Some("/process/oomScoreAdj".to_owned()));
        if error == Errno::ACCESS { fault.hint("lowering it needs CAP_SYS_RESOURCE") } else { fault }
    })
}

/// Hard limits above the runtime's own: raising one needs CAP_SYS_RESOURCE of the host, which the root of a user namespace
/// never has. `child` none: of the caller itself.
pub(crate) fn raise_limits(child: Option<Pid>, process: &ProcessPlan) -> Result<(), Fault> {
    for (resource, _, hard) in &process.rlimits {
        let own = rustix::process::getrlimit(*resource);
        // The kernel's "unlimited" is all ones, which rustix writes as none.
        let wanted = (*hard != u64::MAX).then_some(*hard);
        let enough = own.maximum.is_none_or(|own| wanted.is_some_and(|wanted| wanted <= own));
        if enough {
            continue;
        }
        let raised = Rlimit { current: own.current, maximum: wanted };
        rustix::process::prlimit(child, *resource, raised).map_err(|error| {
            let what = format!("config.json: /process/rlimits: cannot raise {} to {hard}", rlimit_name(*resource));
            let fault = Fault::new(Layer::OciRuntime, "identity", what).os("prlimit", "", &error.into());
            let fault = fault.detail(|d| d.pointer = Some("/process/rlimits".to_owned()));
            fault.kind(Kind::PermissionDenied).hint("raising a hard limit needs CAP_SYS_RESOURCE")
        })?;
    }
    Ok(())
}

/// The offsets file of the caller, opened while the caller's rights still reach it.
pub(crate) fn clocks_file() -> Result<OwnedFd, Fault> {
    let path = "/proc/self/timens_offsets";
    host_proc()?
        .open("self/timens_offsets", OFlags::WRONLY)
        .at("namespace", "open", path, || "this kernel has no time namespaces".into())
}
