//! `linux.resources.unified`: cgroup v2 files by name, values as they are.

use super::Setting;
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use std::collections::BTreeMap;

/// The core's own files that are limits; the others move processes or turn controllers on.
const CORE: [&str; 3] = ["cgroup.max.depth", "cgroup.max.descendants", "cgroup.pressure"];

/// Every key is `CONTROLLER.PARAMETER`, a file name, and a limit.
pub(super) fn check(unified: &BTreeMap<String, String>) -> Result<(), Fault> {
    for key in unified.keys() {
        let refuse = |problem: &str| {
            let pointer = format!("/linux/resources/unified/{}", key.replace('~', "~0").replace('/', "~1"));
            Err(bad_config(&pointer, format!("unified resource {key:?} {problem}")))
        };
        if key.contains('/') {
            return refuse("must be a file name (no slashes)");
        }
        match key.split_once('.') {
            None | Some(("", _) | (_, "")) => return refuse("must be in the form CONTROLLER.PARAMETER"),
            Some(("cgroup", _)) if !CORE.contains(&key.as_str()) => return refuse("is not a limit"),
            Some(_) => {}
        }
    }
    Ok(())
}

/// A value of several lines is a write each: the kernel reads one key a write.
pub(super) fn settings(unified: &BTreeMap<String, String>, out: &mut Vec<Setting>) {
    for (key, value) in unified {
        let controller = key.split('.').next().unwrap_or_default();
        for line in value.lines() {
            out.push(Setting::new(controller, key, line, format!("/unified/{key}")));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn keys_are_limits() {
        let one = |key: &str| check(&BTreeMap::from([(key.to_owned(), "1".to_owned())]));
        for good in ["memory.high", "io.max", "misc.max", "cgroup.max.depth", "hugetlb.2MB.max"] {
            assert!(one(good).is_ok(), "{good}");
        }
        for bad in
            ["../memory.high", "memory", ".max", "memory.", "cgroup.procs", "cgroup.subtree_control", "cgroup.kill"]
        {
            assert!(one(bad).is_err(), "{bad}");
        }
    }

    #[test]
    fn lines_are_writes() {
        let mut out = Vec::new();
        settings(&BTreeMap::from([("io.max".to_owned(), "8:0 rbps=1\n8:16 rbps=2\n".to_owned())]), &mut out);
        assert_eq!(out.iter().map(|s| s.value.as_str()).collect::<Vec<_>>(), ["8:0 rbps=1", "8:16 rbps=2"]);
        assert_eq!(out[0].controller, "io");
    }
}
