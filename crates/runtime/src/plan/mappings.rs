//! Id mappings: of the container's user namespace, and of single mounts.

use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::IdMapping;

/// What a user namespace maps. Never empty, neither overlapping nor overflowing.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct IdMaps {
    pub uids: Vec<IdMapping>,
    pub gids: Vec<IdMapping>,
}

/// The kernel's limit for one map since Linux 4.15 (user_namespaces(7)).
const ENTRIES: usize = 340;

impl IdMaps {
    /// `parent` is the pointer of the object that holds both lists. None when both are empty; one without the other is
    /// refused, as by runc.
    pub(super) fn new(uids: &[IdMapping], gids: &[IdMapping], parent: &str) -> Result<Option<Self>, Fault> {
        if uids.is_empty() && gids.is_empty() {
            return Ok(None);
        }
        check(uids, &format!("{parent}/uidMappings"))?;
        check(gids, &format!("{parent}/gidMappings"))?;
        Ok(Some(Self { uids: uids.to_vec(), gids: gids.to_vec() }))
    }

    /// The container's setup is done by its root, who must be somebody.
    pub(super) fn map_root(&self) -> Result<(), Fault> {
        for (list, pointer) in [(&self.uids, "/linux/uidMappings"), (&self.gids, "/linux/gidMappings")] {
            if !covers(list, 0) {
                return Err(bad_config(pointer, "id 0 of the container is not mapped"));
            }
        }
        Ok(())
    }
}

/// Whether the id of the container is anybody on the host.
pub(super) fn covers(list: &[IdMapping], id: u32) -> bool {
    list.iter().any(|entry| id.checked_sub(entry.container_id).is_some_and(|offset| offset < entry.size))
}

/// The lines of `/proc/<pid>/uid_map`.
pub(crate) fn lines(list: &[IdMapping]) -> String {
    list.iter().map(|entry| format!("{} {} {}\n", entry.container_id, entry.host_id, entry.size)).collect()
}

/// What [`lines`] wrote, or the kernel padded with blanks. None if it is something else.
pub(crate) fn parse(text: &str) -> Option<Vec<IdMapping>> {
    let line = |line: &str| {
        let mut numbers = line.split_whitespace().map(str::parse);
        let mut next = || numbers.next()?.ok();
        Some(IdMapping { container_id: next()?, host_id: next()?, size: next()? })
    };
    text.lines().map(line).collect()
}

fn check(list: &[IdMapping], pointer: &str) -> Result<(), Fault> {
    if list.is_empty() {
        return Err(bad_config(pointer, "uid and gid mappings are needed both"));
    }
    if list.len() > ENTRIES {
        return Err(bad_config(pointer, format!("{} entries, the kernel takes {ENTRIES}", list.len())));
    }
    for (index, entry) in list.iter().enumerate() {
        let at = format!("{pointer}/{index}");
        if entry.size == 0 {
            return Err(bad_config(&format!("{at}/size"), "must be above zero"));
        }
        // 4294967295 is no id.
        for (first, field) in [(entry.container_id, "containerID"), (entry.host_id, "hostID")] {
            if first.checked_add(entry.size).is_none() {
                return Err(bad_config(
                    &format!("{at}/{field}"),
                    format!("{first} + {} is beyond all ids", entry.size),
                ));
            }
        }
        let apart = |a: u32, b: u32, size: u32| a >= b.saturating_add(size) || b >= a.saturating_add(entry.size);
        for other in list.iter().take(index) {
            let container = apart(entry.container_id, other.container_id, other.size);
            let host = apart(entry.host_id, other.host_id, other.size);
            if !(container && host) {
                return Err(bad_config(&at, "overlaps an earlier entry"));
            }
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn entry(container_id: u32, host_id: u32, size: u32) -> IdMapping {
        IdMapping { container_id, host_id, size }
    }

    #[test]
    fn lines_survive_the_kernels_padding() {
        let list = [entry(0, 1000, 1), entry(1, 100_000, 65_535)];
        assert_eq!(lines(&list), "0 1000 1\n1 100000 65535\n");
        assert_eq!(parse("         0       1000          1\n  1 100000 65535\n").as_deref(), Some(&list[..]));
        assert_eq!(parse("0 1\n"), None);
    }

    #[test]
    fn refusals_name_the_entry() {
        let many: Vec<_> = (0..341).map(|n| entry(n, n, 1)).collect();
        let cases = [
            (vec![entry(0, 0, 0)], "/linux/uidMappings/0/size"),
            (vec![entry(0, u32::MAX, 1)], "/linux/uidMappings/0/hostID"),
            (vec![entry(1, 0, u32::MAX)], "/linux/uidMappings/0/containerID"),
            (vec![entry(0, 100, 10), entry(9, 200, 10)], "/linux/uidMappings/1"),
            (vec![entry(0, 100, 10), entry(10, 109, 10)], "/linux/uidMappings/1"),
            (many, "/linux/uidMappings"),
            (vec![], "/linux/uidMappings"),
        ];
        for (list, pointer) in cases {
            let fault = IdMaps::new(&list, &[entry(0, 0, 1)], "/linux").expect_err(pointer);
            assert_eq!(fault.details().pointer.as_deref(), Some(pointer));
        }
        assert_eq!(IdMaps::new(&[], &[], "/linux").expect("no mappings"), None);
    }
}
