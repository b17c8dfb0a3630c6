//! Resources, both ways.

use super::invalid;
use plimsoll_core::container::Resources;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{HugepageLimit, LinuxContainerResources};

pub(crate) fn resources(field: &str, from: LinuxContainerResources) -> Result<Resources, Fault> {
    let numbers = [
        ("cpu_period", from.cpu_period),
        ("cpu_shares", from.cpu_shares),
        ("memory_limit_in_bytes", from.memory_limit_in_bytes),
    ];
    if let Some((name, value)) = numbers.iter().find(|(_, value)| *value < 0) {
        return Err(invalid(&format!("{field}.{name}"), format!("{value} is negative")));
    }
    if !(-1000..=1000).contains(&from.oom_score_adj) {
        return Err(invalid(
            &format!("{field}.oom_score_adj"),
            format!("{} is not in -1000..1000", from.oom_score_adj),
        ));
    }
    Ok(Resources {
        cpu_period: from.cpu_period,
        cpu_quota: from.cpu_quota,
        cpu_shares: from.cpu_shares,
        memory_limit: from.memory_limit_in_bytes,
        memory_swap_limit: from.memory_swap_limit_in_bytes,
        oom_score_adj: from.oom_score_adj,
        cpuset_cpus: from.cpuset_cpus,
        cpuset_mems: from.cpuset_mems,
        hugepage_limits: from.hugepage_limits.into_iter().map(|limit| (limit.page_size, limit.limit)).collect(),
        unified: from.unified.into_iter().collect(),
    })
}

pub(crate) fn message(from: Resources) -> LinuxContainerResources {
    LinuxContainerResources {
        cpu_period: from.cpu_period,
        cpu_quota: from.cpu_quota,
        cpu_shares: from.cpu_shares,
        memory_limit_in_bytes: from.memory_limit,
        memory_swap_limit_in_bytes: from.memory_swap_limit,
        oom_score_adj: from.oom_score_adj,
        cpuset_cpus: from.cpuset_cpus,
        cpuset_mems: from.cpuset_mems,
        hugepage_limits: from
            .hugepage_limits
            .into_iter()
            .map(|(page_size, limit)| HugepageLimit { page_size, limit })
            .collect(),
        unified: from.unified.into_iter().collect(),
    }
}
