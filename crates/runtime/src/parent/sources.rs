//! What the child must not look for itself: host trees and namespaces, opened here and inherited as descriptors.

use crate::fault::{At, bad_config};
use crate::plan::{MountKind, MountPlan, Plan};
use plimsoll_fault::{Fault, Kind};
use plimsoll_sys::mount;
use plimsoll_sys::process::Namespaces;
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Everything of the host that one container is made of.
#[derive(Debug)]
pub(crate) struct Sources {
    /// A detached copy of the rootfs tree.
    pub rootfs: OwnedFd,
    /// One per mount of the plan: a detached copy of a bind mount's source, and whether it is a directory. Copied here, in
    /// the host's mount namespace, so that shared propagation still reaches the host (and a user namespace cannot forbid it).
    pub binds: Vec<Option<(OwnedFd, bool)>>,
    pub namespaces: Vec<(Namespaces, OwnedFd)>,
    /// The caller's own pid namespace, when the container's is joined.
    pub own_pid: Option<OwnedFd>,
}

impl Sources {
    pub(crate) fn open(plan: &Plan) -> Result<Self, Fault> {
        let rootfs = mount::clone_path(&plan.rootfs, true).map_err(|error| {
            let what = format!("config.json: /root/path: cannot use the rootfs {}", plan.rootfs.display());
            let fault = crate::fault::Os::os(Fault::invalid("mount", what), "open_tree", &plan.rootfs, &error.into());
            fault.detail(|d| d.pointer = Some("/root/path".to_owned()))
        })?;
        if !is_directory(&rootfs)? {
            return Err(bad_config("/root/path", format!("{} is not a directory", plan.rootfs.display())));
        }
        let binds = plan.mounts.iter().map(bind).collect::<Result<_, _>>()?;
        let open = |(kind, path): &(Namespaces, std::path::PathBuf)| {
            let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            fd.at("namespace", "open", path, || format!("cannot join the namespace {}", path.display()))
                .map(|fd| (*kind, fd))
        };
        let namespaces: Vec<_> = plan.namespaces.join.iter().map(open).collect::<Result<_, _>>()?;
        let joins_pid = namespaces.iter().any(|(kind, _)| *kind == Namespaces::PID);
        let own_pid = joins_pid.then(own_pid_namespace).transpose()?;
        Ok(Self { rootfs, binds, namespaces, own_pid })
    }
}

pub(crate) fn own_pid_namespace() -> Result<OwnedFd, Fault> {
    let path = "/proc/self/ns/pid";
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    fd.at("namespace", "open", path, || "cannot open the runtime's own pid namespace".into())
}

fn bind(plan: &MountPlan) -> Result<Option<(OwnedFd, bool)>, Fault> {
    let MountKind::Bind { source, recursive } = &plan.kind else { return Ok(None) };
    let tree = mount::clone_path(source, *recursive).map_err(|error| {
        let what = format!("config.json: {}: cannot bind {}", plan.pointer(), source.display());
        let kind = if error == Errno::NOENT { Kind::NotFound } else { Kind::Internal };
        let fault = crate::fault::Os::os(Fault::invalid("mount", what), "open_tree", source, &error.into());
        fault.kind(kind).detail(|d| d.pointer = Some(format!("{}/source", plan.pointer())))
    })?;
    let directory = is_directory(&tree)?;
    Ok(Some((tree, directory)))
}

fn is_directory(fd: &OwnedFd) -> Result<bool, Fault> {
    let stat = rustix::fs::fstat(fd).at("mount", "fstat", "", || "cannot look at a mount source".into())?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
