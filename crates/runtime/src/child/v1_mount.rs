//! The `cgroup` mount type: the container's own cgroup, in the layout of the host.

use super::mounts::{describe, set_tree};
use crate::fault::{At, Os};
use crate::plan::MountPlan;
use plimsoll_fault::{Fault, Layer};
use plimsoll_sys::cgroup::{Hierarchy, Layout, detect};
use plimsoll_sys::mount::{self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_RDONLY, Attributes};
use plimsoll_sys::root::RootDir;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

const SAFE: u64 = ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC;

/// On v2 one tree. On v1 a tmpfs with a folder per tree, each showing the container's group as its root: through the cgroup
/// namespace if the container has one (then `own` is `/` already), else as a bind of the group's folder.
pub(super) fn make(_: &RootDir, plan: &MountPlan, target: &OwnedFd) -> Result<(), Fault> {
    let layout = detect().at("mount", "open", "/proc/self/cgroup", || describe(plan))?;
    let made = match layout {
        Layout::V2(tree) => {
            let shown = shown(&tree, plan)?;
            mount::attach(&shown, target).at("mount", "move_mount", &plan.target, || describe(plan))?;
            return finish(plan, &shown);
        }
        Layout::V1(trees) => {
            let options = ["mode=755".to_owned()];
            let tmpfs = mount::new("tmpfs", Some("tmpfs"), &options, SAFE).map_err(|e| {
                Fault::new(Layer::OciRuntime, "mount", describe(plan)).os(e.syscall, &plan.target, &e.errno.into())
            })?;
            mount::attach(&tmpfs, target).at("mount", "move_mount", &plan.target, || describe(plan))?;
            for tree in &trees {
                one(&tmpfs, tree, plan)?;
            }
            tmpfs
        }
    };
    finish(plan, &made)
}

fn one(tmpfs: &OwnedFd, tree: &Hierarchy, plan: &MountPlan) -> Result<(), Fault> {
    let Some(name) = tree.mount.file_name() else { return Ok(()) };
    let what = || describe(plan);
    rustix::fs::mkdirat(tmpfs, name, Mode::from_raw_mode(0o755)).at("mount", "mkdirat", &plan.target, what)?;
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    let folder = rustix::fs::openat(tmpfs, name, flags, Mode::empty()).at("mount", "openat", &plan.target, what)?;
    let shown = shown(tree, plan)?;
    if plan.attributes.set & ATTR_RDONLY != 0 {
        mount::set_attributes(&shown, Attributes::set(ATTR_RDONLY), false).at(
            "mount",
            "mount_setattr",
            &plan.target,
            what,
        )?;
    }
    mount::attach(&shown, &folder).at("mount", "move_mount", &plan.target, what)?;
    // `cpu` beside `cpu,cpuacct`, as hosts have it.
    for controller in tree.controllers.iter().filter(|c| Path::new(c) != Path::new(name) && !c.contains('=')) {
        match rustix::fs::symlinkat(name, tmpfs, controller.as_str()) {
            Ok(()) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error).at("mount", "symlinkat", &plan.target, what),
        }
    }
    Ok(())
}

/// The group this process is in (it has joined the container's), as a detached mount.
fn shown(tree: &Hierarchy, plan: &MountPlan) -> Result<OwnedFd, Fault> {
    let attributes = SAFE | (plan.attributes.set & ATTR_RDONLY);
    let own = tree.own().at("mount", "open", "/proc/self/cgroup", || describe(plan))?;
    if own == Path::new("/") {
        let (kind, options) = match tree.controllers.as_slice() {
            [] => ("cgroup2", Vec::new()),
            // A named tree must be asked for without any controller.
            [one] if one.starts_with("name=") => ("cgroup", vec!["none".to_owned(), one.clone()]),
            several => ("cgroup", several.to_vec()),
        };
        if let Ok(made) = mount::new(kind, Some("cgroup"), &options, attributes) {
            return Ok(made);
        }
    }
    let folder = tree.folder(own);
    let bind = mount::clone_path(&folder, false).at("mount", "open_tree", &folder, || describe(plan))?;
    mount::set_attributes(&bind, Attributes::set(attributes), false).at(
        "mount",
        "mount_setattr",
        &plan.target,
        || describe(plan),
    )?;
    Ok(bind)
}

fn finish(plan: &MountPlan, made: &OwnedFd) -> Result<(), Fault> {
    if !plan.attributes.is_none() {
        mount::set_attributes(made, plan.attributes, false)
            .at("mount", "mount_setattr", &plan.target, || describe(plan))?;
    }
    set_tree(plan, made)
}
