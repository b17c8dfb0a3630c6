//! What the daemon and the shim of a running pod hold in memory.

use crate::node::Node;
use serde_json::json;

/// Kilobytes, from `/proc/<pid>/smaps_rollup`.
#[derive(Clone, Debug)]
pub struct Memory {
    pub program: String,
    pub rss: u64,
    /// Shared pages counted by the share.
    pub pss: u64,
    /// What only this process has.
    pub private: u64,
}

/// The daemon with one running pod of one container, and that pod's shim.
///
/// # Panics
/// When the node does not start or the pod does not run.
pub fn of_a_pod() -> Vec<Memory> {
    let node = Node::start();
    node.pull();
    let file = node.pod_file("bench", json!({}));
    let pod = node.ok(&["runp", &file]);
    node.start_container(&pod, &file, "sleeper", "sleep 1000");
    std::thread::sleep(std::time::Duration::from_secs(1));
    let mut found: Vec<Memory> = crate::leak::all_processes()
        .filter(|(pid, _)| node.scratch.owns(*pid))
        .filter_map(|(pid, line)| {
            let program = line.split([' ', '\0']).next()?.rsplit('/').next()?.to_owned();
            let ours = program == "plimsolld" || program.starts_with("containerd-shim");
            if ours { read(pid, program) } else { None }
        })
        .collect();
    found.sort_by(|a, b| b.program.cmp(&a.program));
    node.ok(&["stopp", &pod]);
    node.ok(&["rmp", &pod]);
    found
}

fn read(pid: i32, program: String) -> Option<Memory> {
    let text = std::fs::read_to_string(format!("/proc/{pid}/smaps_rollup")).ok()?;
    let sum = |names: &[&str]| {
        let lines = text.lines().filter_map(|line| line.split_once(':'));
        lines
            .filter(|(name, _)| names.contains(name))
            .filter_map(|(_, value)| value.split_whitespace().next()?.parse::<u64>().ok())
            .sum()
    };
    Some(Memory { program, rss: sum(&["Rss"]), pss: sum(&["Pss"]), private: sum(&["Private_Clean", "Private_Dirty"]) })
}
