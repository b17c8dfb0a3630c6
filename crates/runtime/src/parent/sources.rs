//! What the child must not look for itself: host trees and namespaces, opened here and inherited as descriptors.

use super::net_devices::{self, NetDevice};
use super::users;
use crate::fault::{At, Os, bad_config};
use crate::plan::{IdMaps, Idmap, MountKind, MountPlan, Plan, kind_name, namespace_of};
use plimsoll_fault::{Fault, Kind};
use plimsoll_sys::process::Namespaces;
use plimsoll_sys::procfs::Procfs;
use plimsoll_sys::{SingleThread, mount};
use rustix::fs::{FileType, Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Everything of the host that one container is made of.
#[derive(Debug)]
pub(crate) struct Sources {
    /// None with a user namespace: then they come later.
    pub trees: Option<Trees>,
    pub namespaces: Vec<(Namespaces, OwnedFd)>,
    pub net_devices: Vec<NetDevice>,
    /// The caller's own pid namespace, when the container's is joined.
    pub own_pid: Option<OwnedFd>,
}

impl Sources {
    pub(crate) fn open(token: &SingleThread, plan: &Plan) -> Result<Self, Fault> {
        let trees = if plan.namespaces.own_user() { None } else { Some(Trees::open(plan)?) };
        let open = |(kind, path): &(Namespaces, std::path::PathBuf)| {
            let fd = rustix::fs::open(path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
            let what = || format!("config.json: /linux/namespaces: cannot join the namespace {}", path.display());
            fd.at("namespace", "open", path, what)
                .map_err(|fault| fault.detail(|d| d.pointer = Some("/linux/namespaces".to_owned())))
                .map(|fd| (*kind, fd))
        };
        let namespaces: Vec<_> = plan.namespaces.join.iter().map(open).collect::<Result<_, _>>()?;
        spare_the_host(plan, &namespaces)?;
        let joins_pid = namespaces.iter().any(|(kind, _)| *kind == Namespaces::PID);
        let own_pid = joins_pid.then(own_pid_namespace).transpose()?;
        let net_devices = net_devices::find(&plan.net_devices)?;
        if let Some(trees) = &trees {
            trees.idmap(token, plan, || Err(bad_config("/mounts", "an idmapped mount has no mappings")))?;
        }
        Ok(Self { trees, namespaces, net_devices, own_pid })
    }
}

/// A sysctl of a namespace that is joined, but is the caller's own, would change the host.
fn spare_the_host(plan: &Plan, namespaces: &[(Namespaces, OwnedFd)]) -> Result<(), Fault> {
    for (path, _) in &plan.sysctls {
        let Some(kind) = namespace_of(path) else { continue };
        let Some((_, joined)) = namespaces.iter().find(|(joined, _)| *joined == kind) else { continue };
        let what = || format!("cannot look at the {} namespace", kind_name(kind));
        let own = Procfs::host().and_then(|proc| proc.namespace("self", kind));
        let own = own.and_then(rustix::fs::fstat).at("namespace", "fstat", "/proc/self/ns", what)?;
        let joined = rustix::fs::fstat(joined).at("namespace", "fstat", "", what)?;
        if (own.st_dev, own.st_ino) == (joined.st_dev, joined.st_ino) {
            let pointer = format!("/linux/sysctl/{}", path.replace('/', "."));
            return Err(bad_config(&pointer, format!("the {} namespace to join is the host's", kind_name(kind))));
        }
    }
    Ok(())
}

/// The namespace file `fd` could not be joined.
pub(crate) fn not_joined(kind: Namespaces, error: Errno) -> Fault {
    let what = format!("config.json: /linux/namespaces: cannot join the {} namespace", kind_name(kind));
    let fault = Fault::new(plimsoll_fault::Layer::OciRuntime, "namespace", what)
        .os("setns", kind_name(kind), &error.into())
        .detail(|d| d.pointer = Some("/linux/namespaces".to_owned()));
    match error {
        Errno::INVAL if kind == Namespaces::USER => {
            fault.hint("its path is no user namespace, or the runtime is in it")
        }
        Errno::INVAL => fault.hint("its path is no namespace of that kind"),
        _ => fault,
    }
}

/// Detached copies of mounts. Made in the mount namespace of the caller, so that shared propagation still reaches the host; with
/// a user namespace in the container's, so that what the host's mounts forbid is locked (mount_namespaces(7)).
#[derive(Debug)]
pub(crate) struct Trees {
    pub rootfs: OwnedFd,
    /// One per mount of the plan: a bind mount's source, and whether it is a directory.
    pub binds: Vec<Option<(OwnedFd, bool)>>,
}

impl Trees {
    pub(crate) fn open(plan: &Plan) -> Result<Self, Fault> {
        let rootfs = rootfs(plan)?;
        let binds = plan.mounts.iter().map(bind).collect::<Result<_, _>>()?;
        Ok(Self { rootfs, binds })
    }

    /// In the order of [`Self::from_fds`].
    pub(super) fn fds(&self) -> Vec<BorrowedFd<'_>> {
        let binds = self.binds.iter().flatten().map(|(tree, _)| tree.as_fd());
        std::iter::once(self.rootfs.as_fd()).chain(binds).collect()
    }

    /// How many descriptors those of a plan are.
    pub(crate) fn count(plan: &Plan) -> usize {
        1 + plan.mounts.iter().filter(|mount| mount.is_bind()).count()
    }

    /// What the parent of this process opened. `None`: nothing.
    pub(crate) fn from_fds(plan: &Plan, fds: Vec<OwnedFd>) -> Result<Option<Self>, Fault> {
        let mut fds = fds.into_iter();
        let Some(rootfs) = fds.next() else { return Ok(None) };
        let mut binds = Vec::with_capacity(plan.mounts.len());
        for mount in &plan.mounts {
            let tree = if mount.is_bind() { fds.next() } else { None };
            binds.push(tree.map(|tree| is_directory(&tree).map(|directory| (tree, directory))).transpose()?);
        }
        Ok(Some(Self { rootfs, binds }))
    }

    /// Gives bind mounts the mappings that the config says, or else those of the container's user namespace, which `users`
    /// opens.
    pub(super) fn idmap(
        &self,
        token: &SingleThread,
        plan: &Plan,
        users: impl Fn() -> Result<OwnedFd, Fault>,
    ) -> Result<(), Fault> {
        let mut made: Vec<(&Option<IdMaps>, OwnedFd)> = Vec::new();
        for (mount, bind) in plan.mounts.iter().zip(&self.binds) {
            let (Some(idmap), Some((tree, _))) = (&mount.idmap, bind) else { continue };
            if !made.iter().any(|(known, _)| *known == &idmap.maps) {
                let namespace = match &idmap.maps {
                    Some(maps) => users::namespace(token, maps, &mount.pointer())?,
                    None => users()?,
                };
                made.push((&idmap.maps, namespace));
            }
            if let Some((_, users)) = made.iter().find(|(known, _)| *known == &idmap.maps) {
                apply(mount, idmap, tree, users)?;
            }
        }
        Ok(())
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

fn rootfs(plan: &Plan) -> Result<OwnedFd, Fault> {
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

fn bind(plan: &MountPlan) -> Result<Option<(OwnedFd, bool)>, Fault> {
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
