//! `process.capabilities`: the default set, what the request adds and drops, and what this host can give.

use super::{Builder, Host, Origin};
use crate::container::ContainerSecurity;
use plimsoll_fault::{Fault, Result};
use std::collections::BTreeSet;

/// Capability names by number (include/uapi/linux/capability.h).
pub(super) const NAMES: [&str; 41] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "DAC_READ_SEARCH",
    "FOWNER",
    "FSETID",
    "KILL",
    "SETGID",
    "SETUID",
    "SETPCAP",
    "LINUX_IMMUTABLE",
    "NET_BIND_SERVICE",
    "NET_BROADCAST",
    "NET_ADMIN",
    "NET_RAW",
    "IPC_LOCK",
    "IPC_OWNER",
    "SYS_MODULE",
    "SYS_RAWIO",
    "SYS_CHROOT",
    "SYS_PTRACE",
    "SYS_PACCT",
    "SYS_ADMIN",
    "SYS_BOOT",
    "SYS_NICE",
    "SYS_RESOURCE",
    "SYS_TIME",
    "SYS_TTY_CONFIG",
    "MKNOD",
    "LEASE",
    "AUDIT_WRITE",
    "AUDIT_CONTROL",
    "SETFCAP",
    "MAC_OVERRIDE",
    "MAC_ADMIN",
    "SYSLOG",
    "WAKE_ALARM",
    "BLOCK_SUSPEND",
    "AUDIT_READ",
    "PERFMON",
    "BPF",
    "CHECKPOINT_RESTORE",
];

/// What every container runtime gives by default.
const DEFAULT: [&str; 14] = [
    "CHOWN",
    "DAC_OVERRIDE",
    "FSETID",
    "FOWNER",
    "MKNOD",
    "NET_RAW",
    "SETGID",
    "SETUID",
    "SETFCAP",
    "SETPCAP",
    "NET_BIND_SERVICE",
    "SYS_CHROOT",
    "KILL",
    "AUDIT_WRITE",
];

/// The names a container ends up with, for the seccomp profile too.
pub(super) fn set(spec: &mut Builder, security: &ContainerSecurity, host: &Host) -> Result<BTreeSet<String>> {
    let (names, origin) = wanted(security, host)?;
    let ambient: BTreeSet<String> = security.capabilities.add_ambient.iter().map(|n| full(n)).collect::<Result<_>>()?;
    let list: Vec<&String> = names.iter().collect();
    for kind in ["bounding", "effective", "permitted"] {
        spec.set(&format!("/process/capabilities/{kind}"), &list, origin.clone())?;
    }
    // Inheritable stays empty unless ambient ones need it (CVE-2022-29162).
    for kind in ["inheritable", "ambient"] {
        let origin = if ambient.is_empty() {
            Origin::default("capabilities: none inheritable")
        } else {
            Origin::request("container.security.capabilities.add_ambient")
        };
        spec.set(&format!("/process/capabilities/{kind}"), &ambient, origin)?;
    }
    Ok(names)
}

fn wanted(security: &ContainerSecurity, host: &Host) -> Result<(BTreeSet<String>, Origin)> {
    let all = || host.capabilities.iter().cloned().collect::<BTreeSet<_>>();
    if security.privileged {
        return Ok((all(), Origin::request("container.security.privileged")));
    }
    let asked = &security.capabilities;
    let mut names: BTreeSet<String> = DEFAULT.iter().map(|n| format!("CAP_{n}")).collect();
    if has_all(&asked.drop) {
        names.clear();
    }
    if has_all(&asked.add) {
        names = all();
    }
    for name in asked.add.iter().filter(|n| !is_all(n)) {
        names.insert(full(name)?);
    }
    for name in asked.drop.iter().filter(|n| !is_all(n)) {
        names.remove(&full(name)?);
    }
    let plain = asked.add.is_empty() && asked.drop.is_empty();
    let origin =
        if plain { Origin::default("capabilities") } else { Origin::request("container.security.capabilities") };
    // A default that the host itself lacks is left out; what was asked for by name is left in for the runtime to refuse.
    let explicit: BTreeSet<String> = asked.add.iter().filter(|n| !is_all(n)).map(|n| full(n)).collect::<Result<_>>()?;
    names.retain(|name| host.capabilities.contains(name) || explicit.contains(name));
    Ok((names, origin))
}

fn has_all(names: &[String]) -> bool {
    names.iter().any(|name| is_all(name))
}

fn is_all(name: &str) -> bool {
    name.eq_ignore_ascii_case("ALL")
}

fn full(name: &str) -> Result<String> {
    let upper = name.to_ascii_uppercase();
    let short = upper.strip_prefix("CAP_").unwrap_or(&upper);
    if !NAMES.contains(&short) {
        return Err(Fault::invalid("assemble", format!("capability {name:?} is unknown"))
            .detail(|d| d.pointer = Some("/process/capabilities".into())));
    }
    Ok(format!("CAP_{short}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::container::Capabilities;

    fn host() -> Host {
        Host {
            capabilities: NAMES.iter().filter(|n| **n != "SYS_RESOURCE").map(|n| format!("CAP_{n}")).collect(),
            oom_score_floor: 0,
            cgroup_unified: false,
            swap_limit: true,
            hugetlb: false,
            apparmor: false,
        }
    }

    fn names(add: &[&str], drop: &[&str], privileged: bool) -> BTreeSet<String> {
        let list = |names: &[&str]| names.iter().map(|n| (*n).to_owned()).collect();
        let capabilities = Capabilities { add: list(add), drop: list(drop), add_ambient: Vec::new() };
        let security = ContainerSecurity { capabilities, privileged, ..Default::default() };
        wanted(&security, &host()).expect("valid").0
    }

    #[test]
    fn all_is_what_the_host_has() {
        for set in [names(&[], &[], true), names(&["ALL"], &[], false)] {
            assert!(set.contains("CAP_SYS_ADMIN") && !set.contains("CAP_SYS_RESOURCE"));
        }
        assert!(names(&["sys_resource"], &[], false).contains("CAP_SYS_RESOURCE"), "by name it is for the runtime");
    }

    #[test]
    fn add_and_drop() {
        assert_eq!(names(&[], &[], false).len(), 14);
        assert!(names(&[], &["ALL"], false).is_empty());
        assert_eq!(names(&["NET_ADMIN"], &["all"], false), BTreeSet::from(["CAP_NET_ADMIN".to_owned()]));
        assert!(!names(&["ALL"], &["CAP_CHOWN"], false).contains("CAP_CHOWN"));
        full("NOPE").expect_err("unknown");
    }
}
