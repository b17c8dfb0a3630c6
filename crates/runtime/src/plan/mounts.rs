//! `mounts`: what is mounted where, with which attributes, in which order.

use super::mappings::{IdMaps, covers};
use super::namespaces::NamespacePlan;
use super::options::{self, Bind, Options};
use crate::fault::bad_config;
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
    pub idmap: Option<Idmap>,
}

/// Whose ids a bind mount shows.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Idmap {
    pub recursive: bool,
    /// None: those of the container's user namespace.
    pub maps: Option<IdMaps>,
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
    /// What an earlier mount put there, changed: the filesystem's own options too, unless it is `bind,remount`.
    Remount {
        data: Option<Vec<String>>,
    },
}

impl MountPlan {
    pub(crate) fn is_bind(&self) -> bool {
        matches!(self.kind, MountKind::Bind { .. })
    }

    pub(crate) fn is_new(&self, name: &str) -> bool {
        matches!(&self.kind, MountKind::New { filesystem, .. } if filesystem == name)
    }

    /// Whether it may need a device of the host that the container's rules deny.
    pub(crate) fn opens_device(&self) -> bool {
        matches!(&self.kind, MountKind::New { source: Some(source), .. } if source.starts_with('/'))
    }

    /// SELinux labels no file of procfs and sysfs by mount, and message queues only one by one.
    fn label(&mut self, label: &str) {
        if let MountKind::New { filesystem, data, .. } = &mut self.kind
            && !matches!(filesystem.as_str(), "proc" | "sysfs" | "mqueue")
            && !data.iter().any(|option| option.starts_with("context="))
        {
            data.push(format!("context={label}"));
        }
    }

    pub(crate) fn pointer(&self) -> String {
        format!("/mounts/{}", self.index)
    }
}

pub(super) fn plan(
    list: &[Mount],
    bundle: &Path,
    namespaces: &NamespacePlan,
    label: Option<&str>,
) -> Result<Vec<MountPlan>, Fault> {
    let one = |(index, mount)| one(index, mount, bundle, namespaces);
    let mut plans: Vec<MountPlan> = list.iter().enumerate().map(one).collect::<Result<_, _>>()?;
    if let Some(label) = label {
        plans.iter_mut().for_each(|plan| plan.label(label));
    }
    Ok(plans)
}

fn one(index: usize, mount: &Mount, bundle: &Path, namespaces: &NamespacePlan) -> Result<MountPlan, Fault> {
    let pointer = format!("/mounts/{index}");
    let target = target(&mount.destination, &pointer)?;
    if target == Path::new("/") {
        return Err(bad_config(&format!("{pointer}/destination"), "is the root filesystem itself"));
    }
    let options = options::parse(&mount.options);
    supported(mount, &options, &pointer)?;
    owners_mapped(&options, namespaces, &pointer)?;
    let idmap = idmap(mount, &options, namespaces, &pointer)?;
    let filesystem = mount.kind.clone().unwrap_or_default();
    let bind = options.bind.or((filesystem == "bind").then_some(Bind::One));
    let kind = match bind {
        _ if options.remount => MountKind::Remount { data: bind.is_none().then_some(options.data) },
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
    if idmap.is_some() && !matches!(kind, MountKind::Bind { .. }) {
        return Err(bad_config(&pointer, "only bind mounts can be idmapped"));
    }
    Ok(MountPlan { index, target, kind, attributes, recursive, propagation, copy_up, idmap })
}

fn supported(mount: &Mount, options: &Options, pointer: &str) -> Result<(), Fault> {
    if options.tmpcopyup && mount.kind.as_deref() != Some("tmpfs") {
        return Err(bad_config(&format!("{pointer}/options"), "tmpcopyup is for a tmpfs"));
    }
    Ok(())
}

/// Mappings without the option mean `idmap`; the option without mappings those of the container's user namespace.
fn idmap(mount: &Mount, options: &Options, namespaces: &NamespacePlan, pointer: &str) -> Result<Option<Idmap>, Fault> {
    let maps = IdMaps::new(&mount.uid_mappings, &mount.gid_mappings, pointer)?;
    if maps.is_none() && options.idmap.is_none() {
        return Ok(None);
    }
    if maps.is_none() && !namespaces.own_user() {
        return Err(bad_config(&format!("{pointer}/uidMappings"), "needed, as the container has no user namespace"));
    }
    Ok(Some(Idmap { recursive: options.idmap == Some(Bind::Tree), maps }))
}

/// An owner that is nobody in the container would be refused by the kernel without saying which option it was.
fn owners_mapped(options: &Options, namespaces: &NamespacePlan, pointer: &str) -> Result<(), Fault> {
    let Some(users) = &namespaces.users else { return Ok(()) };
    for word in &options.data {
        let (list, id) = match word.split_once('=') {
            Some(("uid", id)) => (&users.uids, id),
            Some(("gid", id)) => (&users.gids, id),
            _ => continue,
        };
        if id.parse().is_ok_and(|id| !covers(list, id)) {
            return Err(bad_config(&format!("{pointer}/options"), format!("{word}: no such id in the user namespace")));
        }
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
    if matches!(kind, MountKind::Remount { .. }) {
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
        plan(&[mount], Path::new("/bundle"), &NamespacePlan::default(), None).map(|mut list| list.remove(0))
    }

    #[test]
    fn relative_sources_are_the_bundles_and_dots_cannot_climb() {
        let got = one(mount("/../../data/./x", "none", "vol", &["rbind"])).expect("a plan");
        assert_eq!(got.target, Path::new("/data/x"));
        assert_eq!(got.kind, MountKind::Bind { source: "/bundle/vol".into(), recursive: true });
    }

    #[test]
    fn a_mount_label_goes_to_new_filesystems_alone() {
        let list = [mount("/tmp", "tmpfs", "tmpfs", &["size=1m"]), mount("/sys", "sysfs", "sysfs", &[])];
        let data = |plan: &MountPlan| match &plan.kind {
            MountKind::New { data, .. } => data.clone(),
            other => panic!("{other:?}"),
        };
        let plans = plan(
            &list,
            Path::new("/bundle"),
            &NamespacePlan::default(),
            Some("system_u:object_r:container_file_t:s0:c1,c2"),
        )
        .expect("plans");
        assert_eq!(data(&plans[0]), ["size=1m", "context=system_u:object_r:container_file_t:s0:c1,c2"]);
        assert!(data(&plans[1]).is_empty());
    }

    #[test]
    fn only_procfs_goes_on_proc() {
        assert!(one(mount("/proc", "proc", "proc", &[])).is_ok());
        assert!(one(mount("/proc", "tmpfs", "tmpfs", &[])).is_err());
        assert!(one(mount("/proc/self/attr", "tmpfs", "tmpfs", &[])).is_err());
        assert!(one(mount("/proc/meminfo", "bind", "/var/lib/lxcfs/meminfo", &["bind"])).is_ok());
    }

    #[test]
    fn an_idmapped_mount_needs_both_lists_or_a_user_namespace() {
        let entry = plimsoll_spec::runtime::IdMapping { container_id: 0, host_id: 1, size: 1 };
        let fault = one(mount("/x", "bind", "/y", &["idmap"])).expect_err("whose ids?");
        assert_eq!(fault.details().pointer.as_deref(), Some("/mounts/0/uidMappings"));
        let mut bind = mount("/x", "bind", "/y", &["rbind", "ridmap"]);
        bind.uid_mappings = vec![entry];
        assert!(one(bind.clone()).is_err());
        bind.gid_mappings = vec![entry];
        assert!(one(bind.clone()).is_ok_and(|plan| plan.idmap.is_some_and(|idmap| idmap.recursive)));
        (bind.kind, bind.options) = (Some("tmpfs".into()), vec![]);
        assert!(one(bind).is_err());
    }
}
