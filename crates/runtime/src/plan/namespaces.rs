//! Which namespaces are new, which are joined, which are the caller's.

use super::mappings::IdMaps;
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{Linux, Namespace, TimeOffset};
use plimsoll_sys::process::Namespaces;
use std::collections::BTreeMap;
use std::fmt::Write;
use std::path::PathBuf;

/// `new` is made at clone3, except the cgroup namespace, which must be made after the cgroup is joined, and the time
/// namespace, whose clocks can be set only before a process is in it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamespacePlan {
    pub new: Namespaces,
    pub join: Vec<(Namespaces, PathBuf)>,
    /// Of a new user namespace; of a joined one, what it must have (some engines give both).
    pub users: Option<IdMaps>,
    /// The lines of `/proc/<pid>/timens_offsets` of a new time namespace.
    pub clocks: String,
}

impl NamespacePlan {
    pub(super) fn new(linux: &Linux) -> Result<Self, Fault> {
        let mut plan = Self::named(&linux.namespaces)?;
        if !plan.separate(Namespaces::MOUNT) {
            return Err(bad_config("/linux/namespaces", "a mount namespace is required"));
        }
        plan.users = plan.users(linux)?;
        plan.clocks = plan.clocks(&linux.time_offsets)?;
        Ok(plan)
    }

    fn named(list: &[Namespace]) -> Result<Self, Fault> {
        let mut plan = Self::default();
        let mut seen = Namespaces::NONE;
        for (index, namespace) in list.iter().enumerate() {
            let pointer = format!("/linux/namespaces/{index}");
            let kind = kind(&namespace.kind, &pointer)?;
            if seen.has(kind) {
                return Err(bad_config(&pointer, format!("a second {} namespace", namespace.kind)));
            }
            seen = seen.with(kind);
            match namespace.path.as_deref().filter(|p| !p.is_empty()) {
                None => plan.new = plan.new.with(kind),
                Some(path) if path.starts_with('/') => plan.join.push((kind, path.into())),
                Some(path) => return Err(bad_config(&format!("{pointer}/path"), format!("{path:?} is not absolute"))),
            }
        }
        Ok(plan)
    }

    fn users(&self, linux: &Linux) -> Result<Option<IdMaps>, Fault> {
        let maps = IdMaps::new(&linux.uid_mappings, &linux.gid_mappings, "/linux")?;
        if let Some(maps) = &maps {
            maps.map_root()?;
            if !self.separate(Namespaces::USER) {
                return Err(bad_config("/linux/uidMappings", "needs a user namespace in /linux/namespaces"));
            }
        } else if self.new.has(Namespaces::USER) {
            return Err(bad_config("/linux/uidMappings", "a new user namespace needs mappings"));
        }
        Ok(maps)
    }

    fn clocks(&self, offsets: &BTreeMap<String, TimeOffset>) -> Result<String, Fault> {
        if !offsets.is_empty() && !self.new.has(Namespaces::TIME) {
            return Err(bad_config("/linux/timeOffsets", "needs a new time namespace in /linux/namespaces"));
        }
        let mut lines = String::new();
        for (clock, offset) in offsets {
            let pointer = format!("/linux/timeOffsets/{clock}");
            if clock != "monotonic" && clock != "boottime" {
                return Err(bad_config(&pointer, format!("unknown clock {clock:?}")));
            }
            if offset.nanosecs > 999_999_999 {
                return Err(bad_config(&format!("{pointer}/nanosecs"), format!("{} is a second", offset.nanosecs)));
            }
            writeln!(lines, "{clock} {} {}", offset.secs, offset.nanosecs)
                .map_err(|_| bad_config(&pointer, "cannot be written"))?;
        }
        Ok(lines)
    }

    /// Neither the caller's own nor absent: made or joined.
    pub(crate) fn separate(&self, kind: Namespaces) -> bool {
        self.new.has(kind) || self.joins(kind)
    }

    pub(crate) fn joins(&self, kind: Namespaces) -> bool {
        self.join.iter().any(|(k, _)| *k == kind)
    }

    /// Whether a go-between joins the namespaces of the config: no way leads back out of a joined user namespace, and from
    /// inside of a new one none leads into a namespace that it does not own.
    pub(crate) fn by_go_between(&self) -> bool {
        self.joins(Namespaces::USER) || (self.new.has(Namespaces::USER) && !self.join.is_empty())
    }

    /// All that are not the caller's.
    pub(crate) fn all(&self) -> Namespaces {
        self.join.iter().fold(self.new, |all, (kind, _)| all.with(*kind))
    }

    pub(crate) fn own_uts(&self) -> bool {
        self.separate(Namespaces::UTS)
    }

    pub(crate) fn own_user(&self) -> bool {
        self.separate(Namespaces::USER)
    }

    pub(crate) fn own_net(&self) -> bool {
        self.separate(Namespaces::NET)
    }
}

const KINDS: [(&str, Namespaces); 8] = [
    ("cgroup", Namespaces::CGROUP),
    ("ipc", Namespaces::IPC),
    ("mount", Namespaces::MOUNT),
    ("network", Namespaces::NET),
    ("pid", Namespaces::PID),
    ("time", Namespaces::TIME),
    ("user", Namespaces::USER),
    ("uts", Namespaces::UTS),
];

/// Sorted: for `features`.
pub(crate) fn names() -> Vec<&'static str> {
    KINDS.iter().map(|(name, _)| *name).collect()
}

fn kind(name: &str, pointer: &str) -> Result<Namespaces, Fault> {
    let known = KINDS.iter().find(|(known, _)| *known == name).map(|(_, kind)| *kind);
    known.ok_or_else(|| bad_config(&format!("{pointer}/type"), format!("unknown namespace {name:?}")))
}

/// The specification's word for one kind, for reports.
pub(crate) fn kind_name(kind: Namespaces) -> &'static str {
    KINDS.iter().find(|(_, known)| *known == kind).map_or("", |(name, _)| *name)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_spec::runtime::IdMapping;

    fn ns(kind: &str, path: Option<&str>) -> Namespace {
        Namespace { kind: kind.into(), path: path.map(Into::into) }
    }

    fn plan(namespaces: &[Namespace], change: impl FnOnce(&mut Linux)) -> Result<NamespacePlan, Fault> {
        let mut linux = Linux { namespaces: namespaces.to_vec(), ..Linux::default() };
        change(&mut linux);
        NamespacePlan::new(&linux)
    }

    fn map(linux: &mut Linux, container_id: u32) {
        let entry = IdMapping { container_id, host_id: 100_000, size: 65_536 };
        (linux.uid_mappings, linux.gid_mappings) = (vec![entry], vec![entry]);
    }

    #[test]
    fn new_and_joined() {
        let plan = plan(&[ns("mount", None), ns("network", Some("/run/netns/a")), ns("pid", Some(""))], |_| {});
        let plan = plan.expect("a plan");
        assert!(plan.new.has(Namespaces::MOUNT.with(Namespaces::PID)) && !plan.new.has(Namespaces::NET));
        assert!(plan.own_net() && !plan.own_uts());
    }

    #[test]
    fn refusals_name_the_pointer() {
        let fault = plan(&[ns("mount", None), ns("Mount", None)], |_| {}).expect_err("unknown");
        assert_eq!(fault.details().pointer.as_deref(), Some("/linux/namespaces/1/type"));
        assert!(plan(&[ns("pid", None)], |_| {}).is_err());
        assert!(plan(&[ns("mount", None), ns("mount", None)], |_| {}).is_err());
    }

    #[test]
    fn mappings_and_user_namespace_go_together() {
        let (mount, new, joined) = (ns("mount", None), ns("user", None), ns("user", Some("/proc/1/ns/user")));
        assert!(plan(std::slice::from_ref(&mount), |l| map(l, 0)).is_err());
        assert!(plan(&[mount.clone(), new.clone()], |_| {}).is_err());
        assert!(plan(&[mount.clone(), new.clone()], |l| map(l, 1)).is_err(), "nobody would be root");
        assert!(plan(&[mount.clone(), joined], |_| {}).is_ok_and(|p| p.users.is_none()));
        assert!(plan(&[mount, new], |l| map(l, 0)).is_ok_and(|p| p.users.is_some()));
    }

    #[test]
    fn clocks_are_of_a_new_time_namespace() {
        let offset = |secs, nanosecs| [("boottime".to_owned(), TimeOffset { secs, nanosecs })].into();
        let (mount, time) = (ns("mount", None), ns("time", None));
        let made = plan(&[mount.clone(), time.clone()], |l| l.time_offsets = offset(-7, 5)).expect("a plan");
        assert_eq!(made.clocks, "boottime -7 5\n");
        assert!(plan(std::slice::from_ref(&mount), |l| l.time_offsets = offset(1, 0)).is_err());
        assert!(plan(&[mount.clone(), time], |l| l.time_offsets = offset(1, 1_000_000_000)).is_err());
        assert!(plan(&[mount, ns("time", Some("/x"))], |l| l.time_offsets = offset(1, 0)).is_err());
    }
}
