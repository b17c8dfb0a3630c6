//! Limits, credentials, capabilities, seccomp filter, working directory: in the order in which each is still allowed.

use crate::fault::{At, Os};
use crate::plan::{ProcessPlan, rlimit_name};
use crate::seccomp::Filter;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::{caps, root};
use rustix::fs::{Gid, Mode, OFlags, Uid};
use rustix::io::Errno;
use rustix::process::Rlimit;
use std::os::fd::OwnedFd;
use std::path::Path;

pub(super) fn limits(process: &ProcessPlan) -> Result<(), Fault> {
    for (resource, soft, hard) in &process.rlimits {
        // The kernel's "unlimited" is all ones, which rustix writes as none.
        let bound = |value: u64| (value != u64::MAX).then_some(value);
        let limit = Rlimit { current: bound(*soft), maximum: bound(*hard) };
        rustix::process::setrlimit(*resource, limit).map_err(|error| {
            let name = rlimit_name(*resource);
            let what = format!("config.json: /process/rlimits: cannot set {name} to {soft}:{hard}");
            let fault = Fault::new(Layer::OciRuntime, "identity", what)
                .os("prlimit", "", &error.into())
                .detail(|d| d.pointer = Some("/process/rlimits".to_owned()));
            if error == Errno::PERM { fault.hint("raising a hard limit needs CAP_SYS_RESOURCE") } else { fault }
        })?;
    }
    Ok(())
}

/// Enters the working directory through the root, so that neither a magic link (`/proc/self/fd/7`, CVE-2024-21626) nor a
/// link that climbs can lead out.
pub(super) fn change_directory(process: &ProcessPlan) -> Result<(), Fault> {
    let what = || format!("config.json: /process/cwd: cannot enter {}", process.cwd.display());
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let top = rustix::fs::open("/", flags, Mode::empty()).at("identity", "open", "/", what)?;
    let found = root::open_below(rustix::fd::AsFd::as_fd(&top), &process.cwd, flags, Mode::empty()).at(
        "identity",
        "openat2",
        &process.cwd,
        what,
    )?;
    rustix::process::fchdir(&found).at("identity", "fchdir", &process.cwd, what)
}

/// The kernel must agree that the directory is below this root: outside it reports `(unreachable)`.
pub(super) fn verify_directory(process: &ProcessPlan) -> Result<(), Fault> {
    let what = || format!("config.json: /process/cwd: cannot verify {}", process.cwd.display());
    let here = rustix::process::getcwd(Vec::new()).at("identity", "getcwd", &process.cwd, what)?;
    if here.as_bytes().starts_with(b"/") {
        return Ok(());
    }
    Err(Fault::new(Layer::OciRuntime, "identity", "the working directory is outside of the container")
        .kind(Kind::PermissionDenied))
}

/// Gives the listener of a filter that notifies.
pub(super) fn load_filter(filter: Option<&Filter>) -> Result<Option<OwnedFd>, Fault> {
    let Some(filter) = filter else { return Ok(None) };
    plimsoll_sys::seccomp::load(&filter.program, filter.flags)
        .at("seccomp", "seccomp", "", || "config.json: /linux/seccomp: cannot load the filter".into())
}

/// Bounding set while CAP_SETPCAP is there, then groups and user with the permitted set kept, then exactly the sets asked for.
pub(super) fn assume(process: &ProcessPlan) -> Result<(), Fault> {
    caps::limit_bounding(process.capabilities.bounding)
        .at("identity", "prctl", "PR_CAPBSET_DROP", || "cannot limit the capability bounding set".into())?;
    rustix::thread::set_keep_capabilities(true)
        .at("identity", "prctl", "PR_SET_KEEPCAPS", || "cannot keep capabilities over setuid".into())?;
    let groups: Vec<Gid> = process.groups.iter().map(|gid| Gid::from_raw(*gid)).collect();
    match rustix::thread::set_thread_groups(&groups) {
        Err(Errno::PERM) if groups.is_empty() && only_foreign_groups(process.gid) => {}
        other => other
            .at("identity", "setgroups", "", || "config.json: /process/user/additionalGids: cannot set them".into())?,
    }
    let (uid, gid) = (Uid::from_raw(process.uid), Gid::from_raw(process.gid));
    rustix::thread::set_thread_res_gid(gid, gid, gid)
        .at("identity", "setresgid", "", || format!("config.json: /process/user/gid: cannot become {}", process.gid))?;
    rustix::thread::set_thread_res_uid(uid, uid, uid)
        .at("identity", "setresuid", "", || format!("config.json: /process/user/uid: cannot become {}", process.uid))?;
    rustix::thread::set_keep_capabilities(false)
        .at("identity", "prctl", "PR_SET_KEEPCAPS", || "cannot stop keeping capabilities".into())?;
    caps::apply(&process.capabilities).map_err(|error| lacking(process, error))?;
    if process.no_new_privileges {
        rustix::thread::set_no_new_privs(true)
            .at("identity", "prctl", "PR_SET_NO_NEW_PRIVS", || "cannot set no_new_privs".into())?;
    }
    Ok(())
}

/// Where a user namespace denies setgroups the caller's groups stay, as under every runtime; those it does not map show up as
/// the overflow id.
fn only_foreign_groups(own: u32) -> bool {
    const OVERFLOW: u32 = 65_534;
    let known = |gid: &Gid| gid.as_raw() == own || gid.as_raw() == OVERFLOW;
    rustix::process::getgroups().is_ok_and(|groups| groups.iter().all(known))
}

/// Names the capabilities that were asked for and are not to be had.
fn lacking(process: &ProcessPlan, error: Errno) -> Fault {
    let what = "config.json: /process/capabilities: cannot set them";
    let fault = Fault::new(Layer::OciRuntime, "identity", what)
        .os("capset", Path::new(""), &error.into())
        .detail(|d| d.pointer = Some("/process/capabilities".to_owned()));
    let Ok(have) = caps::permitted() else { return fault };
    let missing = (process.capabilities.permitted | process.capabilities.effective) & !have;
    let names: Vec<&str> =
        caps::NAMES.iter().enumerate().filter(|(bit, _)| missing & (1 << bit) != 0).map(|(_, name)| *name).collect();
    if names.is_empty() { fault } else { fault.hint(format!("the runtime itself lacks {}", names.join(", "))) }
}
