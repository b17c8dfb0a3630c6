//! Each mount of the plan, in order: made detached, given its attributes, attached to a descriptor inside the root.

use super::copy_up::copy_up;
use super::v1_mount;
use crate::fault::{At, Os};
use crate::plan::{MountKind, MountPlan, Plan};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::mount::{
    self, ATTR_NODEV, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY, Attributes, NewError,
};
use plimsoll_sys::procfs;
use plimsoll_sys::root::RootDir;
use rustix::fs::FileType;
use rustix::io::Errno;
use rustix::mount::{MountFlags, MountPropagationFlags};
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::{Path, PathBuf};

/// What fsconfig(2) takes of one option, in bytes.
const FSCONFIG_MAX: usize = 255;

pub(super) fn make(root: &RootDir, plan: &Plan, binds: Vec<Option<(OwnedFd, bool)>>) -> Result<(), Fault> {
    for (mount, bind) in plan.mounts.iter().zip(binds) {
        one(root, mount, bind)
            .map_err(|fault| fault.detail(|d| d.pointer = d.pointer.take().or_else(|| Some(mount.pointer()))))?;
    }
    Ok(())
}

fn one(root: &RootDir, plan: &MountPlan, bind: Option<(OwnedFd, bool)>) -> Result<(), Fault> {
    if let MountKind::Remount { data } = &plan.kind {
        return remount(root, plan, data.as_deref());
    }
    let mode = mode_below(root, plan)?;
    let target = target(root, plan, bind.as_ref().is_none_or(|(_, directory)| *directory))?;
    let made = match (&plan.kind, bind) {
        (MountKind::Cgroup, _) => return v1_mount::make(root, plan, &target),
        (MountKind::New { filesystem, source, data }, _) => {
            let mut data = data.clone();
            data.extend(mode);
            if data.iter().any(|option| option.len() > FSCONFIG_MAX) {
                return at_once(root, plan, &target, source.as_deref().unwrap_or(filesystem), filesystem, &data);
            }
            new(plan, filesystem, source.as_deref(), &data)?
        }
        (MountKind::Bind { .. }, Some((tree, _))) => bound(plan, tree)?,
        (MountKind::Bind { .. } | MountKind::Remount { .. }, _) => {
            return Err(Fault::new(Layer::OciRuntime, "mount", "a bind mount lost its source"));
        }
    };
    if plan.copy_up {
        copy_up(&target, &made, &plan.target)?;
    }
    mount::attach(&made, &target).at("mount", "move_mount", &plan.target, || describe(plan))?;
    if plan.copy_up && plan.attributes.set & ATTR_RDONLY != 0 {
        mount::set_attributes(&made, Attributes::set(ATTR_RDONLY), false).at(
            "mount",
            "mount_setattr",
            &plan.target,
            || describe(plan),
        )?;
    }
    set_tree(plan, &made)
}

/// The attributes of the tree and the propagation, in the order of the options.
pub(super) fn set_tree(plan: &MountPlan, made: &OwnedFd) -> Result<(), Fault> {
    if !plan.recursive.is_none() {
        mount::set_attributes(made, plan.recursive, true)
            .at("mount", "mount_setattr", &plan.target, || describe(plan))?;
    }
    for (flag, recursive) in &plan.propagation {
        mount::set_attributes(made, Attributes::propagation(*flag), *recursive).at(
            "mount",
            "mount_setattr",
            &plan.target,
            || describe(plan),
        )?;
    }
    Ok(())
}

pub(super) fn describe(plan: &MountPlan) -> String {
    let source = match &plan.kind {
        MountKind::Bind { source, .. } => source.display().to_string(),
        MountKind::New { filesystem, .. } => filesystem.clone(),
        MountKind::Cgroup => "cgroup".to_owned(),
        MountKind::Remount { .. } => {
            return format!("config.json: {}: cannot remount {}", plan.pointer(), plan.target.display());
        }
    };
    format!("config.json: {}: cannot mount {source} on {}", plan.pointer(), plan.target.display())
}

/// The place inside the root, made if missing. `/proc` and `/sys` must be plain directories: a link of the image there
/// would lead the mount astray (CVE-2019-19921, CVE-2023-27561), and nothing else may land inside procfs by way of a link.
/// Where a place is can only be asked by its name, which costs ten times what asking for its filesystem does.
fn target(root: &RootDir, plan: &MountPlan, directory: bool) -> Result<OwnedFd, Fault> {
    let what = || describe(plan);
    if plan.is_new("proc") || plan.is_new("sysfs") {
        if let Ok(found) = root.find_link(&plan.target) {
            let stat = rustix::fs::fstat(&found).at("mount", "fstat", &plan.target, what)?;
            if FileType::from_raw_mode(stat.st_mode) != FileType::Directory {
                let fault = Fault::new(Layer::OciRuntime, "mount", describe(plan)).kind(Kind::FailedPrecondition);
                return Err(fault.why(format!("{} in the image is not a plain directory", plan.target.display())));
            }
        }
        return root.make_dirs(&plan.target).at("mount", "mkdir", &plan.target, what);
    }
    let made = if directory { root.make_dirs(&plan.target) } else { root.make_file(&plan.target) };
    let made = made.at("mount", "openat2", &plan.target, what)?;
    if !procfs::holds(&made).at("mount", "fstatfs", &plan.target, what)? {
        return Ok(made);
    }
    let (top, landed) = (path_of(root.as_fd())?, path_of(made.as_fd())?);
    let inside = landed.strip_prefix(&top).map_or(landed.clone(), |rest| Path::new("/").join(rest));
    if inside.starts_with("/proc") && inside != plan.target {
        let fault = Fault::new(Layer::OciRuntime, "mount", describe(plan)).kind(Kind::FailedPrecondition);
        return Err(fault.why(format!("a link in the image leads to {}", inside.display())));
    }
    Ok(made)
}

/// Where a descriptor is, as the kernel says. For checks only: never opened again by this name.
fn path_of(fd: impl AsFd) -> Result<PathBuf, Fault> {
    let link = format!("/proc/self/fd/{}", fd.as_fd().as_raw_fd());
    std::fs::read_link(&link).at("mount", "readlink", &link, || "cannot see where a mount would go".into())
}

/// A tmpfs without a mode of its own has that of the folder it covers, as `/run` of an image expects. Asked before a missing
/// folder is made: then it is the filesystem's default.
fn mode_below(root: &RootDir, plan: &MountPlan) -> Result<Option<String>, Fault> {
    match &plan.kind {
        MountKind::New { filesystem, data, .. }
            if filesystem == "tmpfs" && !data.iter().any(|word| word.starts_with("mode=")) => {}
        _ => return Ok(None),
    }
    let Ok(covered) = root.find(&plan.target) else { return Ok(None) };
    let stat = rustix::fs::fstat(&covered).at("mount", "fstat", &plan.target, || describe(plan))?;
    Ok(Some(format!("mode={:o}", stat.st_mode & 0o7777)))
}

fn bound(plan: &MountPlan, tree: OwnedFd) -> Result<OwnedFd, Fault> {
    // Unless the config says otherwise, the host's later mounts arrive here and ours never there.
    let keeps = |flag: &MountPropagationFlags| *flag == MountPropagationFlags::SHARED;
    if !plan.propagation.iter().any(|(flag, _)| keeps(flag)) {
        let slave = Attributes::propagation(MountPropagationFlags::DOWNSTREAM);
        mount::set_attributes(&tree, slave, true).at("mount", "mount_setattr", &plan.target, || describe(plan))?;
    }
    if !plan.attributes.is_none() {
        change(plan, &tree).at("mount", "mount_setattr", &plan.target, || describe(plan))?;
    }
    Ok(tree)
}

/// As `mount --bind -o`: whatever attribute is given, those of the source that are not go. Unless they are locked, because the
/// host's mount had them before a user namespace got its copy: then they stay, and to clear one by name is refused (EPERM).
fn change(plan: &MountPlan, tree: &OwnedFd) -> Result<(), Errno> {
    const FLAGS: u64 = ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC | ATTR_NOSYMFOLLOW;
    let given = plan.attributes;
    let exactly = Attributes { clear: given.clear | (FLAGS & !given.set), ..given };
    match mount::set_attributes(tree, exactly, false) {
        Err(Errno::PERM) => mount::set_attributes(tree, given, false),
        other => other,
    }
}

/// What is mounted there already is given other attributes, and without `bind` its filesystem other options.
fn remount(root: &RootDir, plan: &MountPlan, data: Option<&[String]>) -> Result<(), Fault> {
    let target = root.find(&plan.target).at("mount", "openat2", &plan.target, || describe(plan))?;
    if let Some(data) = data {
        let readonly = (plan.attributes.set & ATTR_RDONLY != 0, plan.attributes.clear & ATTR_RDONLY != 0);
        let mut options = data.to_vec();
        match readonly {
            (true, _) => options.push("ro".to_owned()),
            (_, true) => options.push("rw".to_owned()),
            _ => {}
        }
        if !options.is_empty() {
            mount::reconfigure(&target, &options).map_err(|error| refused(plan, "remount", &error))?;
        }
    }
    if !plan.attributes.is_none() {
        change(plan, &target).at("mount", "mount_setattr", &plan.target, || describe(plan))?;
    }
    set_tree(plan, &target)
}

fn new(plan: &MountPlan, filesystem: &str, source: Option<&str>, data: &[String]) -> Result<OwnedFd, Fault> {
    let mut attributes = plan.attributes.set;
    if deferred(plan) || plan.copy_up {
        attributes &= !ATTR_RDONLY;
    }
    mount::new(filesystem, source, data, attributes).map_err(|error| refused(plan, filesystem, &error))
}

/// By mount(2), which takes longer options, and the flags that have one meaning in both interfaces.
fn at_once(
    root: &RootDir,
    plan: &MountPlan,
    target: &OwnedFd,
    source: &str,
    filesystem: &str,
    data: &[String],
) -> Result<(), Fault> {
    let what = || describe(plan);
    let set = plan.attributes.set;
    let shared = u32::try_from(set & (ATTR_RDONLY | ATTR_NOSUID | ATTR_NODEV | ATTR_NOEXEC)).unwrap_or(0);
    let data = data.join(",");
    let place = PathBuf::from(format!("/proc/self/fd/{}", target.as_raw_fd()));
    mount::classic(source, &place, filesystem, MountFlags::from_bits_retain(shared), &data)
        .at("mount", "mount", &plan.target, what)
        .map_err(|fault| match data.len() > mount::OPTIONS {
            true => {
                fault.kind(Kind::InvalidArgument).hint(format!("mount(2) takes {} bytes of options", mount::OPTIONS))
            }
            false => fault,
        })?;
    let made = root.find(&plan.target).at("mount", "openat2", &plan.target, what)?;
    mount::set_attributes(&made, Attributes::set(set), false).at("mount", "mount_setattr", &plan.target, what)?;
    set_tree(plan, &made)
}

fn refused(plan: &MountPlan, filesystem: &str, error: &NewError) -> Fault {
    let fault =
        Fault::new(Layer::OciRuntime, "mount", describe(plan)).os(error.syscall, &plan.target, &error.errno.into());
    match (error.syscall, error.errno) {
        (_, Errno::PERM) if plan.is_new("proc") => {
            fault.hint("a user namespace mounts proc only with a pid namespace of its own, and where nothing covers the host's: bind /proc instead")
        }
        (_, Errno::PERM) if plan.is_new("sysfs") => {
            fault.hint("a user namespace mounts sysfs only with a network namespace of its own: bind /sys instead")
        }
        (_, Errno::PERM) if plan.is_new("mqueue") => {
            fault.hint("a user namespace mounts mqueue only with an ipc namespace of its own: bind /dev/mqueue instead")
        }
        ("fsopen", Errno::NODEV) => {
            fault.kind(Kind::FailedPrecondition).hint(format!("this kernel has no {filesystem}"))
        }
        ("fsconfig", Errno::INVAL) if error.option != "create" => {
            let pointer = format!("{}/options", plan.pointer());
            fault
                .kind(Kind::InvalidArgument)
                .why(format!("option {:?}", error.option))
                .detail(|d| d.pointer = Some(pointer))
        }
        _ => fault,
    }
}

/// A read-only `/dev` becomes so after its nodes are made.
fn deferred(plan: &MountPlan) -> bool {
    plan.target == Path::new("/dev") && !plan.is_bind() && plan.attributes.set & ATTR_RDONLY != 0
}

pub(super) fn seal_deferred(root: &RootDir, plan: &Plan) -> Result<(), Fault> {
    for mount in plan.mounts.iter().filter(|mount| deferred(mount)) {
        let found = root.find(&mount.target).at("mount", "openat2", &mount.target, || describe(mount))?;
        mount::set_attributes(&found, Attributes::set(ATTR_RDONLY), false).at(
            "mount",
            "mount_setattr",
            &mount.target,
            || describe(mount),
        )?;
    }
    Ok(())
}
