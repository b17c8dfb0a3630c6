//! `linux.sysctl`: only what a namespace of the container's own holds; the host's are never written.

use super::NamespacePlan;
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_sys::process::Namespaces;
use std::collections::BTreeMap;

const IPC: [&str; 8] = [
    "kernel/msgmax",
    "kernel/msgmnb",
    "kernel/msgmni",
    "kernel/sem",
    "kernel/shmall",
    "kernel/shmmax",
    "kernel/shmmni",
    "kernel/shm_rmid_forced",
];

pub(super) fn plan(
    sysctls: &BTreeMap<String, String>,
    namespaces: &NamespacePlan,
) -> Result<Vec<(String, String)>, Fault> {
    let mut out = Vec::with_capacity(sysctls.len());
    for (key, value) in sysctls {
        let pointer = format!("/linux/sysctl/{}", key.replace('~', "~0").replace('/', "~1"));
        let path = path(key).ok_or_else(|| bad_config(&pointer, "not a sysctl name"))?;
        allowed(&path, namespaces).map_err(|why| bad_config(&pointer, why))?;
        out.push((path, value.clone()));
    }
    Ok(out)
}

/// `net.ipv4.ip_forward` or `net/ipv4/ip_forward` (with dots in interface names) to a path below `/proc/sys`. Whichever of
/// the two comes first separates, as sysctl(8).
fn path(key: &str) -> Option<String> {
    let slashes = key.find(['.', '/']).is_some_and(|at| key.as_bytes().get(at) == Some(&b'/'));
    let swap = |c| match c {
        '.' => '/',
        '/' => '.',
        other => other,
    };
    let path: String = if slashes { key.to_owned() } else { key.chars().map(swap).collect() };
    let fine =
        |part: &str| !part.is_empty() && part != "." && part != ".." && part.chars().all(|c| c.is_ascii_graphic());
    path.split('/').all(fine).then_some(path)
}

fn allowed(path: &str, namespaces: &NamespacePlan) -> Result<(), &'static str> {
    if path == "kernel/hostname" {
        return Err("the hostname is set by /hostname");
    }
    let Some(kind) = namespace_of(path) else { return Err("is not of any namespace: it would change the host") };
    match kind {
        kind if namespaces.separate(kind) => Ok(()),
        Namespaces::NET => Err("needs a network namespace of its own"),
        Namespaces::IPC => Err("needs an ipc namespace of its own"),
        Namespaces::USER => Err("needs a user namespace of its own"),
        _ => Err("needs a uts namespace of its own"),
    }
}

/// Which namespace holds the sysctl. None: the host itself.
pub(crate) fn namespace_of(path: &str) -> Option<Namespaces> {
    match path {
        "kernel/domainname" => Some(Namespaces::UTS),
        _ if path.starts_with("net/") => Some(Namespaces::NET),
        _ if path.starts_with("user/") => Some(Namespaces::USER),
        _ if path.starts_with("fs/mqueue/") || IPC.contains(&path) => Some(Namespaces::IPC),
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn both_spellings_and_nothing_that_climbs() {
        assert_eq!(path("net.ipv4.ip_forward").as_deref(), Some("net/ipv4/ip_forward"));
        assert_eq!(path("net/ipv4/conf/eth0.100/forwarding").as_deref(), Some("net/ipv4/conf/eth0.100/forwarding"));
        assert_eq!(path("net.ipv4.conf.eth0/100.forwarding").as_deref(), Some("net/ipv4/conf/eth0.100/forwarding"));
        for bad in ["", "net..x", "net/../kernel/core_pattern", "net.a b", "/net/x"] {
            assert_eq!(path(bad), None, "{bad}");
        }
    }

    #[test]
    fn the_hosts_are_refused() {
        let own = NamespacePlan { new: Namespaces::NET.with(Namespaces::IPC), ..NamespacePlan::default() };
        assert!(allowed("net/ipv4/ip_forward", &own).is_ok());
        assert!(allowed("net/ipv4/ip_forward", &NamespacePlan::default()).is_err());
        assert!(allowed("kernel/core_pattern", &own).is_err());
        assert!(allowed("kernel/shmmax", &own).is_ok());
        assert!(allowed("user/max_mnt_namespaces", &own).is_err());
    }
}
