//! The container's cgroup: made and limited before its first process exists, joined by that process itself.

use super::limits::{limit_devices, write_all};
use crate::fault::{At, bad_config};
use crate::plan::{Plan, Setting, rules, v1_devices, v1_settings, v2_settings};
use crate::systemd::{Unit, UnitPlan};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::Resources;
use plimsoll_sys::cgroup::{Group, Hierarchy, Layout, detect, processes, read_file, write_file};
use rustix::io::Errno;
use rustix::process::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Component, Path, PathBuf};

/// One container's folders, one per tree.
#[derive(Debug, Default)]
pub(crate) struct Cgroup {
    /// Controllers joined by commas (empty for v2), and the folder.
    pub folders: Vec<(String, PathBuf)>,
    /// Folders that did not exist before, outermost first within each tree.
    pub made: Vec<PathBuf>,
    pub is_v2: bool,
    /// Made and removed by systemd.
    pub unit: Option<Unit>,
}

impl Cgroup {
    /// Makes the folders and writes the limits. On a fault everything made is in `made` for the caller's undo.
    pub(crate) fn make(&mut self, plan: &Plan, id: &str) -> Result<(), Fault> {
        match layout()? {
            Layout::V1(trees) => {
                let mut settings = v1_settings(&plan.resources)?;
                // Rule by rule, the first denying everything: meanwhile the container's process could not open a terminal.
                if !plan.mounts_device() {
                    settings.splice(0..0, v1_devices(&plan.resources)?);
                }
                for tree in &trees {
                    self.make_in(tree, plan, id, &[])?;
                }
                write_all(&self.folders, &settings)
            }
            Layout::V2(tree) => {
                self.is_v2 = true;
                let settings = v2_settings(&plan.resources)?;
                self.make_in(&tree, plan, id, &settings)?;
                write_all(&self.folders, &settings)
            }
        }
    }

    /// Has systemd make the group and put `init` into it, and writes the limits that systemd has no property for, or not as
    /// exactly.
    pub(crate) fn placed(scope: &UnitPlan, init: Pid, plan: &Plan) -> Result<Self, Fault> {
        let tree = tree_of_scopes()?;
        let settings = v2_settings(&plan.resources)?;
        let path = scope.start(init, &plan.resources, &tree.mount)?;
        let folders = vec![(String::new(), path)];
        write_all(&folders, &settings)?;
        Ok(Self { folders, made: Vec::new(), is_v2: true, unit: Some(scope.unit.clone()) })
    }

    fn make_in(&mut self, tree: &Hierarchy, plan: &Plan, id: &str, needed: &[Setting]) -> Result<(), Fault> {
        let path = tree.folder(&group_path(plan.cgroup_path.as_deref(), || base(tree), id)?);
        let cpuset = tree.has("cpuset");
        let v2 = self.is_v2;
        let made = &mut self.made;
        let each = |folder: &Path| {
            made.push(folder.to_owned());
            if cpuset {
                inherit_cpuset(folder)?;
            }
            if v2 { delegate(&tree.mount, folder, needed) } else { Ok(()) }
        };
        let (_, new) = Group::make(&tree.mount, &path, each)
            .at("cgroup", "mkdir", &path, || format!("cannot make the cgroup {}", path.display()))?;
        if !new.contains(&path) {
            unused(&path)?;
        }
        self.folders.push((tree.controllers.join(","), path));
        Ok(())
    }

    /// v2 has no file for devices, but a program, which the kernel takes 0.2 ms to check and applies as a whole: called when the
    /// container's process has been made and builds its root, long before it executes anything. On v1 only what a mount of a
    /// device had to wait for is left to do.
    pub(crate) fn limit_devices(&self, plan: &Plan) -> Result<(), Fault> {
        match self.folders.first() {
            Some((_, path)) if self.is_v2 => limit_devices(path, &rules(&plan.resources.devices)?),
            Some(_) if plan.mounts_device() => write_all(&self.folders, &v1_devices(&plan.resources)?),
            _ => Ok(()),
        }
    }

    /// The v1 `tasks` files, for the child to join by.
    pub(crate) fn tasks(&self) -> Result<Vec<OwnedFd>, Fault> {
        if self.is_v2 {
            return Ok(Vec::new());
        }
        tasks_of(self.folders.iter().map(|(_, path)| path.as_path()))
    }

    /// The v2 folder, for CLONE_INTO_CGROUP.
    pub(crate) fn v2_folder(&self) -> Result<Option<OwnedFd>, Fault> {
        if !self.is_v2 {
            return Ok(None);
        }
        v2_folder_of(self.folders.iter().map(|(_, path)| path.as_path()))
    }
}

/// On v1 systemd derives the device list anew at every daemon-reload: there it has no scopes of ours.
fn tree_of_scopes() -> Result<Hierarchy, Fault> {
    match layout()? {
        Layout::V2(tree) => Ok(tree),
        Layout::V1(_) => {
            Err(crate::fault::unimplemented("/linux/cgroupsPath", "the systemd cgroup driver on cgroup v1"))
        }
    }
}

/// What can be said about limits of a scope before it is there.
pub(crate) fn check_scopes(resources: &Resources) -> Result<(), Fault> {
    tree_of_scopes().and_then(|_| v2_settings(resources)).map(drop)
}

pub(crate) fn layout() -> Result<Layout, Fault> {
    detect().at("cgroup", "open", "/proc/self/cgroup", || "cannot find the cgroups of this host".into())
}

/// What a relative path is below: on v1 the caller's own group; on v2 the one above it, because a group with processes in it
/// (the caller) cannot give controllers to groups below it.
fn base(tree: &Hierarchy) -> Result<PathBuf, Fault> {
    let own = tree.own().at("cgroup", "open", "/proc/self/cgroup", || "cannot find this process's cgroup".into())?;
    Ok(match own.parent() {
        Some(above) if tree.controllers.is_empty() => above.to_owned(),
        _ => own.to_owned(),
    })
}

/// Where the folders of a container would be, whether or not they exist.
pub(crate) fn locate(given: Option<&str>, id: &str) -> Result<Vec<PathBuf>, Fault> {
    let trees = match layout()? {
        Layout::V1(trees) => trees,
        Layout::V2(tree) => vec![tree],
    };
    trees.iter().map(|tree| group_path(given, || base(tree), id).map(|group| tree.folder(&group))).collect()
}

pub(crate) fn tasks_of<'a>(folders: impl Iterator<Item = &'a Path>) -> Result<Vec<OwnedFd>, Fault> {
    folders
        .map(|path| {
            let group = Group { path: path.to_owned() };
            group.tasks().at("cgroup", "open", path.join("tasks"), || "cannot open the container's cgroup".into())
        })
        .collect()
}

pub(crate) fn v2_folder_of<'a>(mut folders: impl Iterator<Item = &'a Path>) -> Result<Option<OwnedFd>, Fault> {
    let Some(path) = folders.next() else { return Ok(None) };
    let group = Group { path: path.to_owned() };
    group.folder().map(Some).at("cgroup", "open", path, || "cannot open the container's cgroup".into())
}

/// An absolute path is from the tree's root, a relative one (or the id, when none is given) below `own`.
fn group_path(given: Option<&str>, own: impl FnOnce() -> Result<PathBuf, Fault>, id: &str) -> Result<PathBuf, Fault> {
    let given = Path::new(given.unwrap_or(id));
    let mut out = if given.is_absolute() { PathBuf::from("/") } else { own()? };
    for component in given.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => {
                return Err(bad_config("/linux/cgroupsPath", format!("{} climbs", given.display())));
            }
        }
    }
    if out == Path::new("/") {
        return Err(bad_config("/linux/cgroupsPath", "is the root of the tree"));
    }
    Ok(out)
}

/// A group that was there before must be empty: `delete` kills what is in it.
fn unused(path: &Path) -> Result<(), Fault> {
    let what = || format!("cannot look at the cgroup {}", path.display());
    if processes(path).at("cgroup", "read", path, what)?.is_empty() {
        return Ok(());
    }
    let what = format!("config.json: /linux/cgroupsPath: {} has processes of somebody else", path.display());
    Err(Fault::new(Layer::Caller, "cgroup", what)
        .kind(Kind::FailedPrecondition)
        .detail(|d| d.pointer = Some("/linux/cgroupsPath".to_owned())))
}

/// A new v1 cpuset takes no process before it has CPUs and memory nodes. Somebody else may have made the group above this
/// moment, and not yet filled it: then it is filled from further up, whose root has all.
fn inherit_cpuset(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if !read_file(folder, file)?.is_empty() {
            continue;
        }
        let mut above = read_file(parent, file)?;
        if above.is_empty() {
            inherit_cpuset(parent)?;
            above = read_file(parent, file)?;
        }
        write_file(folder, file, &above)?;
    }
    Ok(())
}

/// What a container is measured by, limits or not.
const ALWAYS: [&str; 4] = ["cpu", "io", "memory", "pids"];

/// Gives a v2 folder every controller that the group above it has. When `needed` ones are missing there, somebody made the
/// groups above without: then they are given on from the root of the tree.
fn delegate(mount: &Path, folder: &Path, needed: &[Setting]) -> io::Result<()> {
    let parent = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    let has = read_file(parent, "cgroup.controllers")?;
    turn_on(parent, &has)?;
    let lacks = |name: &str| !has.split(' ').any(|has| has == name);
    if !ALWAYS.into_iter().chain(needed.iter().map(|s| s.controller.as_str())).any(lacks) {
        return Ok(());
    }
    if parent == mount {
        return Ok(());
    }
    let all = read_file(mount, "cgroup.controllers")?;
    let below = parent.strip_prefix(mount).map_err(|_| io::ErrorKind::NotFound)?;
    let mut at = mount.to_owned();
    turn_on(&at, &all)?;
    for name in below.components() {
        at.push(name);
        turn_on(&at, &all)?;
    }
    Ok(())
}

/// As far as the group has them and may give them on; a limit that needs a missing one says so when it is written.
fn turn_on(group: &Path, controllers: &str) -> io::Result<()> {
    let on = match read_file(group, "cgroup.subtree_control") {
        Ok(on) => on,
        // Gone, or not readable by an ordinary user.
        Err(_) => return Ok(()),
    };
    let off: Vec<String> = controllers
        .split(' ')
        .filter(|c| !c.is_empty() && on.split(' ').all(|o| o != *c))
        .map(|c| format!("+{c}"))
        .collect();
    if off.is_empty() || write_file(group, "cgroup.subtree_control", &off.join(" ")).is_ok() {
        return Ok(());
    }
    for one in off {
        match write_file(group, "cgroup.subtree_control", &one) {
            // EBUSY: processes in the group forbid it.
            Ok(())
            | Err(
                Errno::BUSY | Errno::INVAL | Errno::NOTSUP | Errno::NOENT | Errno::ACCESS | Errno::PERM | Errno::ROFS,
            ) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::group_path;
    use std::path::PathBuf;

    #[test]
    fn where_a_group_goes() {
        let at = |given, own| group_path(given, || Ok(PathBuf::from(own)), "id").ok();
        assert_eq!(at(Some("/a/b"), "/own"), Some(PathBuf::from("/a/b")));
        assert_eq!(at(Some("a"), "/own"), Some(PathBuf::from("/own/a")));
        assert_eq!(at(None, "/own"), Some(PathBuf::from("/own/id")));
        assert_eq!(at(Some("/a/../.."), "/"), None);
        assert_eq!(at(Some("/"), "/"), None);
    }
}
