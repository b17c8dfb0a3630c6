//! Which namespaces are new, which are joined, which are the caller's.

use crate::fault::{bad_config, unimplemented};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::Namespace;
use plimsoll_sys::process::Namespaces;
use std::path::PathBuf;

/// `new` is made at clone3, except the cgroup namespace, which must be made after the cgroup is joined.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct NamespacePlan {
    pub new: Namespaces,
    pub join: Vec<(Namespaces, PathBuf)>,
}

impl NamespacePlan {
    pub(super) fn new(list: &[Namespace]) -> Result<Self, Fault> {
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
        if plan.join.iter().any(|(kind, _)| *kind == Namespaces::MOUNT) {
            return Err(unimplemented("/linux/namespaces", "joining a mount namespace by path"));
        }
        if !plan.new.has(Namespaces::MOUNT) {
            return Err(bad_config("/linux/namespaces", "a mount namespace is required"));
        }
        Ok(plan)
    }

    /// Neither the caller's own nor absent: made or joined.
    fn separate(&self, kind: Namespaces) -> bool {
        self.new.has(kind) || self.join.iter().any(|(k, _)| *k == kind)
    }

    pub(crate) fn own_uts(&self) -> bool {
        self.separate(Namespaces::UTS)
    }

    pub(crate) fn own_ipc(&self) -> bool {
        self.separate(Namespaces::IPC)
    }

    pub(crate) fn own_net(&self) -> bool {
        self.separate(Namespaces::NET)
    }
}

fn kind(name: &str, pointer: &str) -> Result<Namespaces, Fault> {
    Ok(match name {
        "mount" => Namespaces::MOUNT,
        "pid" => Namespaces::PID,
        "network" => Namespaces::NET,
        "ipc" => Namespaces::IPC,
        "uts" => Namespaces::UTS,
        "cgroup" => Namespaces::CGROUP,
        "user" => return Err(unimplemented(pointer, "a user namespace")),
        "time" => return Err(unimplemented(pointer, "a time namespace")),
        other => return Err(bad_config(&format!("{pointer}/type"), format!("unknown namespace {other:?}"))),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn ns(kind: &str, path: Option<&str>) -> Namespace {
        Namespace { kind: kind.into(), path: path.map(Into::into) }
    }

    #[test]
    fn new_and_joined() {
        let plan = NamespacePlan::new(&[ns("mount", None), ns("network", Some("/run/netns/a")), ns("pid", Some(""))]);
        let plan = plan.expect("a plan");
        assert!(plan.new.has(Namespaces::MOUNT.with(Namespaces::PID)) && !plan.new.has(Namespaces::NET));
        assert!(plan.own_net() && !plan.own_uts());
    }

    #[test]
    fn refusals_name_the_pointer() {
        let list = [ns("mount", None), ns("Mount", None)];
        let fault = NamespacePlan::new(&list).expect_err("unknown");
        assert_eq!(fault.details().pointer.as_deref(), Some("/linux/namespaces/1/type"));
        assert!(NamespacePlan::new(&[ns("pid", None)]).is_err());
        assert!(NamespacePlan::new(&[ns("mount", None), ns("mount", None)]).is_err());
    }
}
