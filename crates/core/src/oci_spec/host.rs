//! What this host can do, probed once. The daemon asks for no more than it can give; the runtime below stays strict.

use plimsoll_sys::host;
use std::path::Path;

/// Facts that shape every spec.
#[derive(Clone, Debug)]
pub struct Host {
    /// The capabilities that this process may pass on (its bounding set), as `CAP_…`.
    pub capabilities: Vec<String>,
    /// The lowest `oom_score_adj` that may be set here.
    pub oom_score_floor: i64,
    /// One hierarchy (v2) at /sys/fs/cgroup.
    pub cgroup_unified: bool,
    /// Memory plus swap can be limited.
    pub swap_limit: bool,
    /// Huge pages can be limited where runtimes look for them.
    pub hugetlb: bool,
    pub apparmor: bool,
}

impl Host {
    pub fn probe() -> Self {
        let unified = Path::new("/sys/fs/cgroup/cgroup.controllers").exists();
        let capabilities: Vec<String> = host::bounding_set().into_iter().filter_map(name).collect();
        let resource = capabilities.iter().any(|c| c == "CAP_SYS_RESOURCE");
        Self {
            oom_score_floor: if resource { -1000 } else { own_oom_score() },
            capabilities,
            cgroup_unified: unified,
            swap_limit: unified || Path::new("/sys/fs/cgroup/memory/memory.memsw.limit_in_bytes").exists(),
            hugetlb: unified || Path::new("/sys/fs/cgroup/hugetlb").exists(),
            apparmor: std::fs::read_to_string("/sys/module/apparmor/parameters/enabled")
                .is_ok_and(|text| text.starts_with('Y')),
        }
    }
}

fn own_oom_score() -> i64 {
    let text = std::fs::read_to_string("/proc/self/oom_score_adj").unwrap_or_default();
    text.trim().parse().unwrap_or(0)
}

fn name(number: u32) -> Option<String> {
    super::capabilities::NAMES.get(number as usize).map(|name| format!("CAP_{name}"))
}
