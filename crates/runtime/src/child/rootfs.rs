//! The root filesystem: attached, filled with the mounts of the plan, entered, and the host's left behind.

use super::{devices, mounts};
use crate::fault::At;
use crate::parent::sources::Trees;
use crate::plan::Plan;
use plimsoll_fault::Fault;
use plimsoll_sys::SingleThread;
use plimsoll_sys::mount::{self, ATTR_RDONLY, Attributes};
use plimsoll_sys::root::RootDir;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountPropagationFlags, UnmountFlags};
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// Attaches the rootfs over its own folder and makes every mount and device in it.
pub(super) fn build(plan: &Plan, trees: Option<Trees>) -> Result<RootDir, Fault> {
    // From here on no mount of this namespace reaches the host's; the host's still reach this one until the pivot.
    mount::propagate_root(MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC).at(
        "rootfs",
        "mount",
        "/",
        || "cannot cut mount propagation to the host".into(),
    )?;
    // Without rights in its mount namespace the parent could copy no tree; this process has them in its own.
    let Trees { rootfs, binds } = trees.map_or_else(|| Trees::open(plan), Ok)?;
    let slave = Attributes::propagation(MountPropagationFlags::DOWNSTREAM);
    mount::set_attributes(&rootfs, slave, true)
        .at("rootfs", "mount_setattr", &plan.rootfs, || "cannot cut the rootfs from the host".into())?;
    // What the host mounts below the bundle from now on is not the container's (config-linux.md, "Rootfs Mount Propagation").
    mount::set_attributes(&rootfs, Attributes::propagation(MountPropagationFlags::PRIVATE), false).at(
        "rootfs",
        "mount_setattr",
        &plan.rootfs,
        || "cannot cut the rootfs from the host".into(),
    )?;
    attach(plan, &rootfs).at("rootfs", "move_mount", &plan.rootfs, || "cannot attach the rootfs".into())?;
    let root = RootDir::from_fd(rootfs);
    mounts::make(&root, plan, binds)?;
    if plan.own_dev {
        devices::make(&root, &plan.devices)?;
    }
    mounts::seal_deferred(&root, plan)?;
    Ok(root)
}

/// Over its own folder, where hooks look for it. The root of a user namespace may have no way to that folder: then over `/`,
/// which names still resolve below.
fn attach(plan: &Plan, rootfs: &OwnedFd) -> Result<(), Errno> {
    match mount::attach_path(rootfs, &plan.rootfs) {
        Err(Errno::ACCESS) if plan.namespaces.own_user() => {
            mount::attach(rootfs, rustix::fs::open("/", OFlags::PATH | OFlags::CLOEXEC, Mode::empty())?)
        }
        other => other,
    }
}

/// Makes the rootfs `/`, detaches the host's, and gives the new one its propagation.
pub(super) fn enter(_: &SingleThread, plan: &Plan, root: RootDir, no_pivot: bool) -> Result<(), Fault> {
    let what = || "cannot enter the rootfs".to_owned();
    rustix::process::fchdir(&root).at("rootfs", "fchdir", &plan.rootfs, what)?;
    if no_pivot {
        rustix::mount::mount_move(".", "/").at("rootfs", "mount", "/", what)?;
        rustix::process::chroot(".").at("rootfs", "chroot", ".", what)?;
    } else {
        pivot(what)?;
    }
    rustix::process::chdir("/").at("rootfs", "chdir", "/", what)?;
    if plan.propagation != MountPropagationFlags::DOWNSTREAM | MountPropagationFlags::REC {
        mount::propagate_root(plan.propagation)
            .at("rootfs", "mount", "/", || "cannot set the rootfs propagation".into())?;
    }
    // The working directory is made if the image lacks it, while the root is still writable.
    if let Ok(root) = RootDir::open(Path::new("/")) {
        match root.make_dirs(&plan.process.cwd) {
            // What cannot be made will be reported when it cannot be entered.
            Ok(_) | Err(_) => {}
        }
    }
    Ok(())
}

/// `pivot_root(".", ".")` stacks the old root on the new one: no folder for it is needed, and none is left.
fn pivot(what: impl Fn() -> String) -> Result<(), Fault> {
    let old = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .at("rootfs", "open", "/", &what)?;
    rustix::process::pivot_root(".", ".").at("rootfs", "pivot_root", ".", &what)?;
    rustix::process::fchdir(old.as_fd()).at("rootfs", "fchdir", "/", &what)?;
    rustix::mount::unmount(".", UnmountFlags::DETACH).at("rootfs", "umount2", "/", &what)
}

pub(super) fn make_readonly() -> Result<(), Fault> {
    let what = || "config.json: /root/readonly: cannot make the rootfs read-only".to_owned();
    let root = rustix::fs::open("/", OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .at("rootfs", "open", "/", what)?;
    mount::set_attributes(&root, Attributes::set(ATTR_RDONLY), false).at("rootfs", "mount_setattr", "/", what)
}
