//! `mounts`: what is mounted where, with which attributes, in which order.

use super::options::{self, Bind, Options};
use crate::fault::{bad_config, unimplemented};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::Mount;
use plimsoll_sys::mount::Attributes;
use rustix::mount::MountPropagationFlags;
use std::path::{Component, Path, PathBuf};

/// One mount, decided.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct MountPlan {
    /// Index in `mounts`, for reports.
    pub index: usize,
    /// In the container; absolute and without `..`.
    pub target: PathBuf,
    pub kind: MountKind,
    pub attributes: Attributes,
    pub recursive: Attributes,
    pub propagation: Vec<(MountPropagationFlags, bool)>,
    /// Begins with what the folder below it holds.
    pub copy_up: bool,
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum MountKind {
    Bind {
        /// On the host; absolute.
        source: PathBuf,
        recursive: bool,
    },
    New {
        filesystem: String,
        source: Option<String>,
        data: Vec<String>,
    },
    /// The container's own cgroup, in the host's layout.
    Cgroup,
}

impl MountPlan {
    pub(crate) fn is_bind(&self) -> bool {
        matches!(self.kind, MountKind::Bind { .. })
    }

    pub(crate) fn is_new(&self, name: &str) -> bool {
        matches!(&self.kind, MountKind::New { filesystem, .. } if filesystem == name)
    }

    pub(crate) fn pointer(&self) -> String {
        format!("/mounts/{}", self.index)
    }
}

pub(super) fn plan(list: &[Mount], bundle: &Path) -> Result<Vec<MountPlan>, Fault> {
    list.iter().enumerate().map(|(index, mount)| one(index, mount, bundle)).collect()
}

fn one(index: usize, mount: &Mount, bundle: &Path) -> Result<MountPlan, Fault> {
    let pointer = format!("/mounts/{index}");
    let target = target(&mount.destination, &pointer)?;
    let options = options::parse(&mount.options);
    supported(mount, &options, &pointer)?;
    let filesystem = mount.kind.clone().unwrap_or_default();
    let bind = options.bind.or((filesystem == "bind").then_some(Bind::One));
    let kind = match bind {
        Some(bind) => {
            let source = mount.source.as_deref().filter(|s| !s.is_empty());
            let source = source.ok_or_else(|| bad_config(&format!("{pointer}/source"), "a bind mount needs one"))?;
            MountKind::Bind { source: bundle.join(source), recursive: bind == Bind::Tree }
        }
        None if filesystem.is_empty() => return Err(bad_config(&format!("{pointer}/type"), "missing")),
        None if filesystem == "cgroup" || filesystem == "cgroup2" => MountKind::Cgroup,
        None => MountKind::New { filesystem, source: mount.source.clone(), data: options.data },
    };
    over_proc(&target, &kind, &pointer)?;
    let (attributes, recursive, propagation) = (options.attributes, options.recursive, options.propagation);
    let copy_up = options.tmpcopyup;
    Ok(MountPlan { index, target, kind, attributes, recursive, propagation, copy_up })
}

fn supported(mount: &Mount, options: &Options, pointer: &str) -> Result<(), Fault> {
    if options.idmap || !mount.uid_mappings.is_empty() || !mount.gid_mappings.is_empty() {
        return Err(unimplemented(pointer, "an idmapped mount"));
    }
    if options.remount {
        return Err(unimplemented(&format!("{pointer}/options"), "remount"));
    }
    if options.tmpcopyup && mount.kind.as_deref() != Some("tmpfs") {
        return Err(bad_config(&format!("{pointer}/options"), "tmpcopyup is for a tmpfs"));
    }
    Ok(())
}

/// Absolute, with `.` and `..` resolved as text: `/` is above everything.
fn target(destination: &str, pointer: &str) -> Result<PathBuf, Fault> {
    if destination.is_empty() {
        return Err(bad_config(&format!("{pointer}/destination"), "empty"));
    }
    let mut out = PathBuf::from("/");
    for component in Path::new(destination).components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::ParentDir => {
                out.pop();
            }
            Component::RootDir | Component::CurDir | Component::Prefix(_) => {}
        }
    }
    Ok(out)
}

/// Files of procfs that lxcfs and the like may be mounted over.
const PROC_FILES: [&str; 11] = [
    "/proc/cpuinfo",
    "/proc/diskstats",
    "/proc/meminfo",
    "/proc/stat",
    "/proc/swaps",
    "/proc/uptime",
    "/proc/loadavg",
    "/proc/slabinfo",
    "/proc/net/dev",
    "/proc/sys/kernel/ns_last_pid",
    "/proc/sys/crypto/fips_enabled",
];

/// Only procfs itself goes on `/proc`, and nothing below it but the files above (CVE-2019-16884).
fn over_proc(target: &Path, kind: &MountKind, pointer: &str) -> Result<(), Fault> {
    if !target.starts_with("/proc") || PROC_FILES.iter().any(|file| target == Path::new(file)) {
        return Ok(());
    }
    let procfs = matches!(kind, MountKind::New { filesystem, .. } if filesystem == "proc");
    let bound = matches!(kind, MountKind::Bind { source, .. } if source.starts_with("/proc"));
    if target == Path::new("/proc") && (procfs || bound) {
        return Ok(());
    }
    Err(bad_config(&format!("{pointer}/destination"), format!("{} is inside /proc", target.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mount(destination: &str, kind: &str, source: &str, options: &[&str]) -> Mount {
        Mount {
            destination: destination.into(),
            kind: Some(kind.into()),
            source: Some(source.into()),
            options: options.iter().map(|o| (*o).into()).collect(),
            ..Mount::default()
        }
    }

    fn one(mount: Mount) -> Result<MountPlan, Fault> {
        plan(&[mount], Path::new("/bundle")).map(|mut list| list.remove(0))
    }

    #[test]
    fn relative_sources_are_the_bundles_and_dots_cannot_climb() {
        let got = one(mount("/../../data/./x", "none", "vol", &["rbind"])).expect("a plan");
        assert_eq!(got.target, Path::new("/data/x"));
        assert_eq!(got.kind, MountKind::Bind { source: "/bundle/vol".into(), recursive: true });
    }

    #[test]
    fn only_procfs_goes_on_proc() {
        assert!(one(mount("/proc", "proc", "proc", &[])).is_ok());
        assert!(one(mount("/proc", "tmpfs", "tmpfs", &[])).is_err());
        assert!(one(mount("/proc/self/attr", "tmpfs", "tmpfs", &[])).is_err());
        assert!(one(mount("/proc/meminfo", "bind", "/var/lib/lxcfs/meminfo", &["bind"])).is_ok());
    }

    #[test]
    fn what_is_not_done_is_refused_by_name() {
        let fault = one(mount("/x", "tmpfs", "tmpfs", &["remount"])).expect_err("refused");
        assert_eq!(fault.class(), plimsoll_fault::Kind::Unimplemented);
        assert_eq!(fault.details().pointer.as_deref(), Some("/mounts/0/options"));
    }
}
