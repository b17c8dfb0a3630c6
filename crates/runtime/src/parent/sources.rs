//! What the child must not look for itself: host trees and namespaces, opened here and inherited as descriptors.

use super::net_devices::{self, NetDevice};
use super::users;
use crate::fault::{At, Os, bad_config};
use crate::plan::{IdMaps, Idmap, MountKind, MountPlan, Plan};
use plimsoll_fault::{Fault, Kind};
use plimsoll_sys::process::Namespaces;
use plimsoll_sys::{SingleThread, mount};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;

/// Everything of the host that one container is made of.
#[derive(Debug)]
pub(crate) struct Sources {
    /// A detached copy of the rootfs tree. None: without rights in the caller's mount namespace, the child takes one itself.
    pub rootfs: Option<OwnedFd>,
    /// One per mount of the plan: a detached copy of a bind mount's source, and whether it is a directory. Copied here, in
    /// the host's mount namespace, so that shared propagation still reaches the host (and a user namespace cannot forbid it).
    pub binds: Vec<Option<(OwnedFd, bool)>>,
    pub namespaces: Vec<(Namespaces, OwnedFd)>,
    pub net_devices: Vec<NetDevice>,
    /// The caller's own pid namespace, when the container's is joined.
    pub own_pid: Option<OwnedFd>,
}

impl Sources {
    pub(crate) fn open(token: &SingleThread, plan: &Plan) -> Result<Self, Fault> {
        let leave =
            |fault: &Fault| plan.namespaces.own_user() && fault.details().errno == Some(Errno::PERM.raw_os_error());
        let rootfs = match rootfs(plan) {
            Err(fault) if leave(&fault) => None,
            other => Some(other?),
        };
        let mut binds = Vec::with_capacity(plan.mounts.len());
        for mount in &plan.mounts {
            binds.push(if rootfs.is_some() { bind(mount)? } else { None });
        }
        let open = |(kind, path): &(Namespaces, std::path::PathBuf)| {
            let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let what = || format!("config.json: /linux/namespaces: cannot join the namespace {}", path.display());
            fd.at("namespace", "open", path, what)
                .map_err(|fault| fault.detail(|d| d.pointer = Some("/linux/namespaces".to_owned())))
                .map(|fd| (*kind, fd))
        };
        let namespaces: Vec<_> = plan.namespaces.join.iter().map(open).collect::<Result<_, _>>()?;
        let joins_pid = namespaces.iter().any(|(kind, _)| *kind == Namespaces::PID);
        let own_pid = joins_pid.then(own_pid_namespace).transpose()?;
        let net_devices = net_devices::find(&plan.net_devices)?;
        let sources = Self { rootfs, binds, namespaces, net_devices, own_pid };
        sources.idmap_by_config(token, plan)?;
        Ok(sources)
    }

    /// The mounts that say their mappings, and those that take them from a user namespace that is there already.
    fn idmap_by_config(&self, token: &SingleThread, plan: &Plan) -> Result<(), Fault> {
        let mut made: Vec<(&IdMaps, OwnedFd)> = Vec::new();
        for (mount, idmap, tree) in self.idmapped(plan) {
            let tree = tree?;
            let Some(maps) = &idmap.maps else {
                let joined = self.namespaces.iter().find(|(kind, _)| *kind == Namespaces::USER);
                joined.map_or(Ok(()), |(_, users)| apply(mount, idmap, tree, users))?;
                continue;
            };
            if !made.iter().any(|(known, _)| *known == maps) {
                made.push((maps, users::namespace(token, maps, &mount.pointer())?));
            }
            if let Some((_, users)) = made.iter().find(|(known, _)| *known == maps) {
                apply(mount, idmap, tree, users)?;
            }
        }
        Ok(())
    }

    /// The mounts that take the mappings of the container's new user namespace, which `users` opens. The child holds the same
    /// trees.
    pub(super) fn idmap_by_container(
        &self,
        plan: &Plan,
        users: impl Fn() -> Result<OwnedFd, Fault>,
    ) -> Result<(), Fault> {
        for (mount, idmap, tree) in self.idmapped(plan).filter(|(_, idmap, _)| idmap.maps.is_none()) {
            apply(mount, idmap, tree?, &users()?)?;
        }
        Ok(())
    }

    fn idmapped<'a>(
        &'a self,
        plan: &'a Plan,
    ) -> impl Iterator<Item = (&'a MountPlan, &'a Idmap, Result<&'a OwnedFd, Fault>)> {
        plan.mounts.iter().zip(&self.binds).filter_map(|(mount, bind)| {
            let tree = bind.as_ref().map(|(tree, _)| tree);
            let rights = || bad_config(&mount.pointer(), "an idmapped mount needs rights over the host's filesystem");
            mount.idmap.as_ref().map(|idmap| (mount, idmap, tree.ok_or_else(rights)))
        })
    }
}

fn apply(mount: &MountPlan, idmap: &Idmap, tree: &OwnedFd, users: &OwnedFd) -> Result<(), Fault> {
    mount::set_idmap(tree, users, idmap.recursive).map_err(|error| {
        let what = format!("config.json: {}: cannot idmap the mount on {}", mount.pointer(), mount.target.display());
        let fault = Fault::new(plimsoll_fault::Layer::Kernel, "idmap", what)
            .os("mount_setattr", &mount.target, &error.into())
            .detail(|d| d.pointer = Some(mount.pointer()));
        match error {
            Errno::INVAL => {
                fault.kind(Kind::FailedPrecondition).hint("the filesystem of its source cannot be idmapped")
            }
            Errno::PERM => fault.hint("it is idmapped already, or the runtime has no right over its filesystem"),
            _ => fault,
        }
    })
}

/// A detached copy of the rootfs tree.
pub(crate) fn rootfs(plan: &Plan) -> Result<OwnedFd, Fault> {
    let rootfs = mount::clone_path(&plan.rootfs, true).map_err(|error| {
        let what = format!("config.json: /root/path: cannot use the rootfs {}", plan.rootfs.display());
        let fault = Fault::invalid("mount", what).os("open_tree", &plan.rootfs, &error.into());
        fault.detail(|d| d.pointer = Some("/root/path".to_owned()))
    })?;
    if !is_directory(&rootfs)? {
        return Err(bad_config("/root/path", format!("{} is not a directory", plan.rootfs.display())));
    }
    Ok(rootfs)
}

pub(crate) fn own_pid_namespace() -> Result<OwnedFd, Fault> {
    let path = "/proc/self/ns/pid";
    let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
    fd.at("namespace", "open", path, || "cannot open the runtime's own pid namespace".into())
}

/// A detached copy of a bind mount's source, and whether it is a directory.
pub(crate) fn bind(plan: &MountPlan) -> Result<Option<(OwnedFd, bool)>, Fault> {
    let MountKind::Bind { source, recursive } = &plan.kind else { return Ok(None) };
    let tree = mount::clone_path(source, *recursive).map_err(|error| {
        let what = format!("config.json: {}: cannot bind {}", plan.pointer(), source.display());
        let kind = if error == Errno::NOENT { Kind::NotFound } else { Kind::Internal };
        let fault = Fault::invalid("mount", what).os("open_tree", source, &error.into());
        fault.kind(kind).detail(|d| d.pointer = Some(format!("{}/source", plan.pointer())))
    })?;
    let directory = is_directory(&tree)?;
    Ok(Some((tree, directory)))
}

fn is_directory(fd: &OwnedFd) -> Result<bool, Fault> {
    let stat = rustix::fs::fstat(fd).at("mount", "fstat", "", || "cannot look at a mount source".into())?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::Directory)
}
