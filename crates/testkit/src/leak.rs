//! What a run left behind on the machine: mounts, network namespaces, links, cgroups and processes of ours, as sets of lines.

use std::collections::BTreeSet;
use std::fs;
use std::path::Path;

/// The things on this machine that can only have come from us, each as one readable line.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Snapshot(pub BTreeSet<String>);

impl Snapshot {
    /// Everything of ours that is there now.
    pub fn take() -> Snapshot {
        let mut found = BTreeSet::new();
        found.extend(
            mounts_with(|path| path.contains("/plim-") || path.contains("plimsoll"))
                .into_iter()
                .map(|m| format!("mount {m}")),
        );
        found.extend(names("/run/netns").filter(|n| n.starts_with("plim")).map(|n| format!("netns {n}")));
        found.extend(names("/sys/class/net").filter(|n| n.starts_with("plim")).map(|n| format!("link {n}")));
        found.extend(cgroups_with("plimsoll").into_iter().map(|c| format!("cgroup {c}")));
        found.extend(processes().map(|(pid, line)| format!("process {pid} {line}")));
        Snapshot(found)
    }

    /// What is there now and was not then. Another run on the same machine shows here too.
    pub fn since(&self) -> Vec<String> {
        Snapshot::take().0.difference(&self.0).cloned().collect()
    }
}

/// The mount points for which `wanted` says yes, the last mounted first (the order in which they can be unmounted).
pub fn mounts_with(wanted: impl Fn(&str) -> bool) -> Vec<String> {
    let table = fs::read_to_string("/proc/self/mountinfo").unwrap_or_default();
    let points = table.lines().filter_map(|line| line.split(' ').nth(4)).map(|p| p.replace("\\040", " "));
    let mut found: Vec<String> = points.filter(|p| wanted(p)).collect();
    found.reverse();
    found
}

/// The cgroup folders of all hierarchies whose own name contains `part`, children before parents.
pub fn cgroups_with(part: &str) -> Vec<String> {
    let mut found = Vec::new();
    walk(Path::new("/sys/fs/cgroup"), false, part, &mut found);
    found
}

fn walk(dir: &Path, below: bool, part: &str, found: &mut Vec<String>) {
    let Ok(entries) = fs::read_dir(dir) else { return };
    for entry in entries.flatten().filter(|e| e.file_type().is_ok_and(|t| t.is_dir())) {
        let ours = below || entry.file_name().to_string_lossy().contains(part);
        walk(&entry.path(), ours, part, found);
        if ours {
            found.push(entry.path().to_string_lossy().into_owned());
        }
    }
}

/// The pids below a cgroup folder's own `cgroup.procs`.
pub fn pids_in(cgroup: &str) -> Vec<i32> {
    let text = fs::read_to_string(format!("{cgroup}/cgroup.procs")).unwrap_or_default();
    text.lines().filter_map(|l| l.parse().ok()).collect()
}

/// Every process: its pid and command line.
pub fn all_processes() -> impl Iterator<Item = (i32, String)> {
    names("/proc").filter_map(|n| n.parse::<i32>().ok()).map(|pid| {
        let line = fs::read(format!("/proc/{pid}/cmdline")).unwrap_or_default();
        (pid, String::from_utf8_lossy(&line).replace('\0', " ").trim_end().to_owned())
    })
}

/// The children of a process.
pub fn children(parent: i64) -> Vec<i32> {
    let is_child = |pid: &i32| {
        let stat = fs::read_to_string(format!("/proc/{pid}/stat")).unwrap_or_default();
        let fields = stat.rsplit_once(") ").map(|(_, rest)| rest);
        fields.and_then(|fields| fields.split(' ').nth(1)?.parse().ok()) == Some(parent)
    };
    names("/proc").filter_map(|name| name.parse().ok()).filter(is_child).collect()
}

fn processes() -> impl Iterator<Item = (i32, String)> {
    const OURS: [&str; 3] = ["plimrun", "containerd-shim-plimsoll-v1", "plimsolld"];
    all_processes().filter(|(_, line)| {
        let program = line.split(' ').next().unwrap_or_default();
        OURS.contains(&program.rsplit('/').next().unwrap_or_default())
    })
}

fn names(dir: &str) -> impl Iterator<Item = String> + use<> {
    fs::read_dir(dir).into_iter().flatten().flatten().map(|e| e.file_name().to_string_lossy().into_owned())
}
