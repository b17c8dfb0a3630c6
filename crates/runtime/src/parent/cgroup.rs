//! The container's cgroup: made and limited before its first process exists, joined by that process itself.

use crate::fault::{At, Os, bad_config};
use crate::plan::{Plan, Setting, device_program, rules, v1_settings, v2_settings};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::bpf;
use plimsoll_sys::cgroup::{Group, Hierarchy, Layout, detect, processes, read_file, write_file};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
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
}

impl Cgroup {
    /// Makes the folders and writes the limits. On a fault everything made is in `made` for the caller's undo.
    pub(crate) fn make(&mut self, plan: &Plan, id: &str) -> Result<(), Fault> {
        let layout =
            detect().at("cgroup", "open", "/proc/self/cgroup", || "cannot find the cgroups of this host".into())?;
        match layout {
            Layout::V1(trees) => {
                let settings = v1_settings(&plan.resources)?;
                for tree in &trees {
                    self.make_in(tree, plan, id)?;
                }
                settings.iter().try_for_each(|setting| self.write(setting))
            }
            Layout::V2(tree) => {
                self.is_v2 = true;
                let settings = v2_settings(&plan.resources)?;
                self.make_in(&tree, plan, id)?;
                settings.iter().try_for_each(|setting| self.write(setting))
            }
        }
    }

    fn make_in(&mut self, tree: &Hierarchy, plan: &Plan, id: &str) -> Result<(), Fault> {
        let path = tree.folder(&group_path(plan.cgroup_path.as_deref(), &tree.own, id)?);
        let cpuset = tree.has("cpuset");
        let v2 = self.is_v2;
        let made = &mut self.made;
        let each = |folder: &Path| {
            made.push(folder.to_owned());
            if cpuset {
                inherit_cpuset(folder)?;
            }
            if v2 { delegate(folder) } else { Ok(()) }
        };
        let (_, new) = Group::make(&tree.mount, &path, each)
            .at("cgroup", "mkdir", &path, || format!("cannot make the cgroup {}", path.display()))?;
        if !new.contains(&path) {
            unused(&path)?;
        }
        self.folders.push((tree.controllers.join(","), path));
        Ok(())
    }

    /// v2 has no file for devices, but a program. Checking it takes the kernel 0.3 ms: called when the container's process
    /// has been made and builds its root, long before it executes anything.
    pub(crate) fn limit_devices(&self, plan: &Plan) -> Result<(), Fault> {
        if !self.is_v2 {
            return Ok(());
        }
        let Some(program) = device_program(&rules(&plan.resources.devices)?) else { return Ok(()) };
        let Some((_, path)) = self.folders.first() else { return Ok(()) };
        let what = || "config.json: /linux/resources/devices: cannot limit device access".to_owned();
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(path, flags, Mode::empty()).at("cgroup", "open", path, what)?;
        let program = bpf::load_device_program(&program).at("cgroup", "bpf", "BPF_PROG_LOAD", what)?;
        bpf::attach_device_program(&program, &folder).at("cgroup", "bpf", "BPF_PROG_ATTACH", what)
    }

    fn write(&self, setting: &Setting) -> Result<(), Fault> {
        let pointer = format!("/linux/resources{}", setting.pointer);
        let of = |(controllers, _): &&(String, PathBuf)| {
            self.is_v2 || controllers.split(',').any(|c| c == setting.controller)
        };
        let Some((_, folder)) = self.folders.iter().find(of) else {
            let what = format!("config.json: {pointer}: this host has no {} controller", setting.controller);
            return Err(Fault::new(Layer::Kernel, "cgroup", what).detail(|d| d.pointer = Some(pointer)));
        };
        match write_file(folder, &setting.file, &setting.value) {
            Ok(()) => Ok(()),
            Err(Errno::NOENT) if setting.optional => Ok(()),
            Err(error) => {
                let what = format!("config.json: {pointer}: cannot write {:?} to {}", setting.value, setting.file);
                let path = folder.join(&setting.file);
                let layer = if error == Errno::NOENT { Layer::Kernel } else { Layer::OciRuntime };
                Err(Fault::new(layer, "cgroup", what)
                    .os("write", path, &error.into())
                    .detail(|d| d.pointer = Some(pointer)))
            }
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

/// Where the folders of a container would be, whether or not they exist.
pub(crate) fn locate(given: Option<&str>, id: &str) -> Result<Vec<PathBuf>, Fault> {
    let layout =
        detect().at("cgroup", "open", "/proc/self/cgroup", || "cannot find the cgroups of this host".into())?;
    let trees = match layout {
        Layout::V1(trees) => trees,
        Layout::V2(tree) => vec![tree],
    };
    trees.iter().map(|tree| group_path(given, &tree.own, id).map(|group| tree.folder(&group))).collect()
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

/// An absolute path is from the tree's root, a relative one (or the id, when none is given) from the caller's own group.
fn group_path(given: Option<&str>, own: &Path, id: &str) -> Result<PathBuf, Fault> {
    let given = Path::new(given.unwrap_or(id));
    let mut out = if given.is_absolute() { PathBuf::from("/") } else { own.to_owned() };
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

/// A new v1 cpuset takes no process before it has CPUs and memory nodes.
fn inherit_cpuset(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    for file in ["cpuset.cpus", "cpuset.mems"] {
        if read_file(folder, file)?.is_empty() {
            write_file(folder, file, &read_file(parent, file)?)?;
        }
    }
    Ok(())
}

/// Turns the parent's controllers on for a v2 folder, as far as the parent has them.
fn delegate(folder: &Path) -> io::Result<()> {
    let parent = folder.parent().ok_or(io::ErrorKind::NotFound)?;
    let on = read_file(parent, "cgroup.subtree_control")?;
    let all = read_file(parent, "cgroup.controllers")?;
    for controller in all.split_whitespace().filter(|name| !on.split_whitespace().any(|is| is == *name)) {
        match write_file(parent, "cgroup.subtree_control", &format!("+{controller}")) {
            // EBUSY: processes in the parent forbid it; a limit that needs it will say so when written.
            Ok(()) | Err(Errno::BUSY | Errno::INVAL | Errno::NOTSUP | Errno::NOENT) => {}
            Err(error) => return Err(error.into()),
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::group_path;
    use std::path::{Path, PathBuf};

    #[test]
    fn where_a_group_goes() {
        let at = |given, own| group_path(given, Path::new(own), "id").ok();
        assert_eq!(at(Some("/a/b"), "/own"), Some(PathBuf::from("/a/b")));
        assert_eq!(at(Some("a"), "/own"), Some(PathBuf::from("/own/a")));
        assert_eq!(at(None, "/own"), Some(PathBuf::from("/own/id")));
        assert_eq!(at(Some("/a/../.."), "/"), None);
        assert_eq!(at(Some("/"), "/"), None);
    }
}
