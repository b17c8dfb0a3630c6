//! Resource director technology: a group of the resctrl filesystem with its schemata, which the child joins by its `tasks` files as it
//! joins cgroups. No machine without such a processor can test more than the decisions.

use super::undo::{Rollback, Undo};
use crate::fault::{At, Os};
use crate::plan::RdtPlan;
use plimsoll_fault::{Fault, Kind, Layer};
use rustix::fs::{Mode, OFlags};
use serde::{Deserialize, Serialize};
use std::io;
use std::os::fd::OwnedFd;
use std::path::{Path, PathBuf};

/// The groups of one container.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Rdt {
    pub group: PathBuf,
    /// Made for this container and named by nobody: goes with it.
    pub own: bool,
    /// Below the group.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub monitor: Option<PathBuf>,
}

const POINTER: &str = "/linux/intelRdt";

pub(crate) fn make(plan: Option<&RdtPlan>, id: &str, rollback: &mut Rollback) -> Result<Option<Rdt>, Fault> {
    let Some(plan) = plan else { return Ok(None) };
    groups(plan, id, &root()?, rollback).map(Some)
}

/// Where resctrl is mounted, by whoever runs the machine.
fn root() -> Result<PathBuf, Fault> {
    const RDTGROUP_SUPER_MAGIC: u64 = 0x765_5821;
    let usual = Path::new("/sys/fs/resctrl");
    if rustix::fs::statfs(usual).is_ok_and(|found| found.f_type.cast_unsigned() == RDTGROUP_SUPER_MAGIC) {
        return Ok(usual.to_owned());
    }
    let mounts = std::fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let elsewhere = mounts.lines().find(|line| line.contains(" - resctrl ")).and_then(|line| line.split(' ').nth(4));
    elsewhere.map(PathBuf::from).ok_or_else(|| {
        let what = format!("config.json: {POINTER}: no resctrl filesystem is mounted on this machine");
        let fault = Fault::new(Layer::Kernel, "rdt", what).kind(Kind::FailedPrecondition);
        let hint = if usual.is_dir() {
            "mount -t resctrl resctrl /sys/fs/resctrl"
        } else {
            "the processor or its kernel has none"
        };
        fault.hint(hint).detail(|d| d.pointer = Some(POINTER.to_owned()))
    })
}

fn groups(plan: &RdtPlan, id: &str, root: &Path, rollback: &mut Rollback) -> Result<Rdt, Fault> {
    able(plan, root)?;
    let group = root.join(plan.group.as_deref().unwrap_or(id));
    let what = || format!("config.json: {POINTER}: cannot make the group {}", group.display());
    let foreign = plan.group.is_some() && plan.schemata.is_empty();
    let made = match std::fs::create_dir(&group) {
        // A group that is only named must be there already (config-linux.md, "IntelRdt").
        Ok(()) if foreign => {
            std::fs::remove_dir(&group).at("rdt", "rmdir", &group, what)?;
            let what =
                format!("config.json: {POINTER}/closID: no group {} and no schemata to make it of", group.display());
            let fault = Fault::invalid("rdt", what).kind(Kind::FailedPrecondition);
            return Err(fault.detail(|d| d.pointer = Some(format!("{POINTER}/closID"))));
        }
        Ok(()) => true,
        Err(error) if error.kind() == io::ErrorKind::AlreadyExists => false,
        Err(error) => return Err(error).at("rdt", "mkdir", &group, what).map_err(|fault| explained(fault, root)),
    };
    let mut rdt = Rdt { group, own: made && plan.group.is_none(), monitor: None };
    if made {
        rollback.push(Undo::Folder(rdt.group.clone()));
    }
    schemata(plan, &rdt.group).map_err(|fault| explained(fault, root))?;
    if plan.monitoring {
        let path = rdt.group.join("mon_groups").join(id);
        match std::fs::create_dir(&path) {
            Ok(()) => rollback.push(Undo::Folder(path.clone())),
            Err(error) if error.kind() == io::ErrorKind::AlreadyExists => {}
            Err(error) => {
                let what = || format!("config.json: {POINTER}/enableMonitoring: cannot make {}", path.display());
                return Err(error).at("rdt", "mkdir", &path, what).map_err(|fault| explained(fault, root));
            }
        }
        rdt.monitor = Some(path);
    }
    Ok(rdt)
}

/// What the processor cannot do is known before anything is made.
fn able(plan: &RdtPlan, root: &Path) -> Result<(), Fault> {
    for (_, field) in &plan.schemata {
        let (folder, what) = match *field {
            "l3CacheSchema" => ("L3", "cache allocation"),
            "memBwSchema" => ("MB", "memory bandwidth allocation"),
            _ => continue,
        };
        if !root.join("info").join(folder).exists() {
            let pointer = format!("{POINTER}/{field}");
            let fault = Fault::new(Layer::Kernel, "rdt", format!("config.json: {pointer}: this machine has no {what}"));
            return Err(fault.kind(Kind::FailedPrecondition).detail(|d| d.pointer = Some(pointer)));
        }
    }
    Ok(())
}

/// All lines in one write: the kernel takes them together or not at all.
fn schemata(plan: &RdtPlan, group: &Path) -> Result<(), Fault> {
    let Some((_, field)) = plan.schemata.first() else { return Ok(()) };
    let text: String = plan.schemata.iter().map(|(line, _)| format!("{line}\n")).collect();
    let path = group.join("schemata");
    let what = || format!("config.json: {POINTER}/{field}: cannot write {:?}", text.trim_end());
    let file =
        rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).at("rdt", "open", &path, what)?;
    rustix::io::write(&file, text.as_bytes()).map(drop).at("rdt", "write", &path, what)
}

/// The kernel says in words what it disliked last.
fn explained(fault: Fault, root: &Path) -> Fault {
    match std::fs::read_to_string(root.join("info/last_cmd_status")) {
        Ok(text) if text.trim() != "ok" && !text.trim().is_empty() => fault.why(text.trim().to_owned()),
        _ => fault,
    }
}

/// The files that a process joins by, the group's before its monitor's.
pub(crate) fn tasks(rdt: Option<&Rdt>) -> Result<Vec<OwnedFd>, Fault> {
    let folders = rdt.into_iter().flat_map(|rdt| std::iter::once(&rdt.group).chain(&rdt.monitor));
    folders
        .map(|folder| {
            let path = folder.join("tasks");
            let what = || format!("config.json: {POINTER}: cannot join {}", folder.display());
            rustix::fs::open(&path, OFlags::WRONLY | OFlags::CLOEXEC, Mode::empty()).at("rdt", "open", &path, what)
        })
        .collect()
}

/// A group of the container's own goes, and of a shared one the container's monitor.
pub(crate) fn remove(rdt: Option<&Rdt>) -> Result<(), Fault> {
    let Some(rdt) = rdt else { return Ok(()) };
    let gone = if rdt.own { Some(&rdt.group) } else { rdt.monitor.as_ref() };
    match gone.map(std::fs::remove_dir) {
        None | Some(Ok(())) => Ok(()),
        Some(Err(error)) if error.kind() == io::ErrorKind::NotFound => Ok(()),
        Some(Err(error)) => {
            let fault = Fault::new(Layer::OciRuntime, "delete", "cannot remove the container's resctrl group");
            Err(fault.os("rmdir", &rdt.group, &error))
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A folder that looks like resctrl with a cache, where the kernel would make the files of a new group.
    fn resctrl(name: &str) -> PathBuf {
        let root = std::env::temp_dir().join(format!("plimsoll-rdt-{name}-{}", std::process::id()));
        std::fs::create_dir_all(root.join("info/L3")).expect("a folder");
        std::fs::write(root.join("info/last_cmd_status"), "ok\n").expect("a file");
        group(&root, "shared");
        root
    }

    fn group(root: &Path, name: &str) {
        std::fs::create_dir_all(root.join(name).join("mon_groups")).expect("a folder");
        for file in ["schemata", "tasks"] {
            std::fs::write(root.join(name).join(file), "").expect("a file");
        }
    }

    fn plan(group: Option<&str>, lines: &[(&str, &'static str)], monitoring: bool) -> RdtPlan {
        let schemata = lines.iter().map(|(line, field)| ((*line).to_owned(), *field)).collect();
        RdtPlan { group: group.map(Into::into), schemata, monitoring }
    }

    fn entries(root: &Path) -> Vec<String> {
        let entries = std::fs::read_dir(root).expect("a folder").flatten();
        let mut names: Vec<String> = entries.map(|e| e.file_name().to_string_lossy().into_owned()).collect();
        names.sort();
        names
    }

    #[test]
    fn a_shared_group_stays_and_its_monitor_goes() {
        let root = resctrl("shared");
        let mut rollback = Rollback::default();
        let lines = [("L3:0=ff", "l3CacheSchema"), ("L2:0=f", "schemata")];
        let rdt = groups(&plan(Some("shared"), &lines, true), "c1", &root, &mut rollback).expect("groups");
        let monitor = root.join("shared/mon_groups/c1");
        assert_eq!(rdt, Rdt { group: root.join("shared"), own: false, monitor: Some(monitor.clone()) });
        assert_eq!(std::fs::read_to_string(root.join("shared/schemata")).expect("a file"), "L3:0=ff\nL2:0=f\n");
        std::fs::write(monitor.join("tasks"), "").expect("as the kernel would");
        assert_eq!(tasks(Some(&rdt)).expect("files").len(), 2);
        std::fs::remove_file(monitor.join("tasks")).expect("as the kernel would");
        remove(Some(&rdt)).expect("removed");
        assert!(!monitor.exists() && root.join("shared").exists());
        remove(Some(&rdt)).expect("once more");
        rollback.keep();
        std::fs::remove_dir_all(&root).expect("clean");
    }

    #[test]
    fn an_own_group_goes_with_its_container() {
        let root = resctrl("own");
        let mut rollback = Rollback::default();
        let rdt = groups(&plan(None, &[], false), "c1", &root, &mut rollback).expect("groups");
        assert_eq!(rdt, Rdt { group: root.join("c1"), own: true, monitor: None });
        rollback.keep();
        remove(Some(&rdt)).expect("removed");
        assert!(!root.join("c1").exists());
        std::fs::remove_dir_all(&root).expect("clean");
    }

    #[test]
    fn what_cannot_be_leaves_nothing() {
        let root = resctrl("bad");
        let before = entries(&root);
        for (plan, pointer) in [
            (plan(Some("absent"), &[], false), "/linux/intelRdt/closID"),
            (plan(None, &[("MB:0=20", "memBwSchema")], false), "/linux/intelRdt/memBwSchema"),
            // The folder that stands for the kernel's makes no files: a write that fails.
            (plan(None, &[("L3:0=0", "l3CacheSchema")], false), "/linux/intelRdt/l3CacheSchema"),
            (plan(None, &[], true), "/linux/intelRdt/enableMonitoring"),
        ] {
            let mut rollback = Rollback::default();
            let fault = groups(&plan, "c1", &root, &mut rollback).expect_err(pointer);
            assert_eq!(fault.details().pointer.as_deref(), Some(pointer));
            let fault = rollback.undo(fault);
            assert_eq!(entries(&root), before, "{fault}");
        }
        std::fs::remove_dir_all(&root).expect("clean");
    }
}
