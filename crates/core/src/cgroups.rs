//! The cgroup folders of pods and containers: where they are, what they count, and their removal when they are ours.

use std::path::{Path, PathBuf};

const TOP: &str = "/sys/fs/cgroup";

/// What a container uses. Absent figures were not to be had.
#[derive(Clone, Debug, Default)]
pub(crate) struct Usage {
    pub(crate) cpu_nanoseconds: Option<u64>,
    pub(crate) memory: Option<u64>,
    pub(crate) memory_limit: Option<u64>,
    pub(crate) inactive_file: Option<u64>,
    pub(crate) rss: Option<u64>,
    pub(crate) faults: Option<u64>,
    pub(crate) major_faults: Option<u64>,
    pub(crate) pids: Option<u64>,
}

/// Reads the counters of `path` (as in `linux.cgroupsPath`).
pub(crate) fn usage(path: &str, unified: bool) -> Usage {
    let path = path.trim_start_matches('/');
    if unified { usage_v2(&Path::new(TOP).join(path)) } else { usage_v1(path) }
}

fn usage_v2(folder: &Path) -> Usage {
    let memory = table(&folder.join("memory.stat"));
    let find = |name: &str| memory.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    let cpu = table(&folder.join("cpu.stat"));
    Usage {
        cpu_nanoseconds: cpu.iter().find(|(key, _)| key == "usage_usec").map(|(_, micros)| micros * 1000),
        memory: number(&folder.join("memory.current")),
        memory_limit: number(&folder.join("memory.max")),
        inactive_file: find("inactive_file"),
        rss: find("anon"),
        faults: find("pgfault"),
        major_faults: find("pgmajfault"),
        pids: number(&folder.join("pids.current")),
    }
}

fn usage_v1(path: &str) -> Usage {
    let file = |controller: &str, name: &str| Path::new(TOP).join(controller).join(path).join(name);
    let memory = table(&file("memory", "memory.stat"));
    let find = |name: &str| memory.iter().find(|(key, _)| key == name).map(|(_, value)| *value);
    // "No limit" is the largest page-aligned i64.
    let limit = number(&file("memory", "memory.limit_in_bytes")).filter(|limit| *limit < i64::MAX as u64 - 0xffff);
    Usage {
        cpu_nanoseconds: number(&file("cpuacct", "cpuacct.usage")),
        memory: number(&file("memory", "memory.usage_in_bytes")),
        memory_limit: limit,
        inactive_file: find("total_inactive_file"),
        rss: find("total_rss"),
        faults: find("total_pgfault"),
        major_faults: find("total_pgmajfault"),
        pids: number(&file("pids", "pids.current")),
    }
}

fn number(path: &Path) -> Option<u64> {
    std::fs::read_to_string(path).ok()?.trim().parse().ok()
}

fn table(path: &Path) -> Vec<(String, u64)> {
    let text = std::fs::read_to_string(path).unwrap_or_default();
    let row = |line: &str| {
        let (key, value) = line.split_once(' ')?;
        Some((key.to_owned(), value.trim().parse().ok()?))
    };
    text.lines().filter_map(row).collect()
}

/// Removes the empty cgroup folder `path` from every hierarchy. What is not there, or still used by somebody, stays.
pub(crate) fn remove_empty(path: &str) {
    let path = path.trim_matches('/');
    if path.is_empty() || path.split('/').any(|part| part == "..") {
        return;
    }
    let hierarchies = std::fs::read_dir(TOP).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in hierarchies.chain([PathBuf::from(TOP)]).map(|top| top.join(path)) {
        match std::fs::remove_dir(&folder) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                tracing::debug!(folder = %folder.display(), %error, "cgroup folder stays");
            }
            _ => {}
        }
    }
}
