//! `linux.netDevices`: interfaces of the runtime's network namespace that go into the container's.

use super::NamespacePlan;
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::NetDevice;
use plimsoll_sys::rtnetlink::NAME_MAX;
use std::collections::BTreeMap;

/// One interface.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct NetDevicePlan {
    /// Here.
    pub name: String,
    /// In the container.
    pub new_name: String,
}

impl NetDevicePlan {
    pub(crate) fn pointer(&self) -> String {
        pointer(&self.name)
    }
}

fn pointer(name: &str) -> String {
    format!("/linux/netDevices/{}", name.replace('~', "~0").replace('/', "~1"))
}

pub(super) fn plan(
    given: &BTreeMap<String, NetDevice>,
    namespaces: &NamespacePlan,
) -> Result<Vec<NetDevicePlan>, Fault> {
    if !given.is_empty() && !namespaces.own_net() {
        return Err(bad_config("/linux/netDevices", "needs a network namespace of its own"));
    }
    let mut out: Vec<NetDevicePlan> = Vec::with_capacity(given.len());
    for (name, device) in given {
        let new_name = device.name.as_ref().filter(|name| !name.is_empty()).unwrap_or(name);
        for (text, at) in [(name, pointer(name)), (new_name, format!("{}/name", pointer(name)))] {
            if !is_name(text) {
                return Err(bad_config(&at, format!("{text:?} is no name of a network interface")));
            }
        }
        if let Some(other) = out.iter().find(|other| other.new_name == *new_name) {
            let at = format!("{}/name", pointer(name));
            return Err(bad_config(&at, format!("{} and {name} would both be {new_name}", other.name)));
        }
        out.push(NetDevicePlan { name: name.clone(), new_name: new_name.clone() });
    }
    Ok(out)
}

/// As the kernel's dev_valid_name.
fn is_name(text: &str) -> bool {
    let legal = |byte: u8| byte != b'/' && byte != b':' && byte != 0 && !byte.is_ascii_whitespace() && byte != 0x0b;
    !text.is_empty() && text.len() <= NAME_MAX && text != "." && text != ".." && text.bytes().all(legal)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_spec::runtime::{Linux, Namespace};

    fn namespaces(kinds: &[&str]) -> NamespacePlan {
        let one = |kind: &&str| Namespace { kind: (*kind).into(), path: None };
        let linux = Linux { namespaces: kinds.iter().map(one).collect(), ..Linux::default() };
        NamespacePlan::new(&linux).expect("a plan")
    }

    fn own() -> NamespacePlan {
        namespaces(&["mount", "network"])
    }

    fn devices(list: &[(&str, Option<&str>)]) -> BTreeMap<String, NetDevice> {
        let one = |(name, new): &(&str, Option<&str>)| ((*name).into(), NetDevice { name: new.map(Into::into) });
        list.iter().map(one).collect()
    }

    #[test]
    fn names_stay_or_change() {
        let got = plan(&devices(&[("eth0", None), ("eth1", Some("up"))]), &own()).expect("a plan");
        assert_eq!(got[0].new_name, "eth0");
        assert_eq!((got[1].name.as_str(), got[1].new_name.as_str()), ("eth1", "up"));
    }

    #[test]
    fn refusals() {
        for (list, at) in [
            (devices(&[("a:b", None)]), "/linux/netDevices/a:b"),
            (devices(&[("a", Some("sixteen-letters-"))]), "/linux/netDevices/a/name"),
            (devices(&[("a", Some("x")), ("b", Some("x"))]), "/linux/netDevices/b/name"),
            (devices(&[("a/b", None)]), "/linux/netDevices/a~1b"),
        ] {
            let fault = plan(&list, &own()).expect_err(at);
            assert_eq!(fault.details().pointer.as_deref(), Some(at));
        }
        let none = namespaces(&["mount"]);
        assert!(plan(&devices(&[("a", None)]), &none).is_err());
        assert!(plan(&devices(&[]), &none).is_ok());
    }
}
