//! `linux.resources`, `linux.cgroupsPath` and `process.oomScoreAdj`.

use super::{Builder, Host, Inputs, Origin, Warnings, token};
use crate::container::Resources;
use plimsoll_fault::Result;
use serde_json::json;

pub(super) fn set(spec: &mut Builder, inputs: &Inputs<'_>, warnings: &mut Warnings) -> Result<()> {
    let resources = &inputs.config.resources;
    cgroup(spec, inputs)?;
    cpu(spec, resources)?;
    memory(spec, resources, inputs.host, warnings)?;
    for (size, limit) in &resources.hugepage_limits {
        if !inputs.host.hugetlb {
            warnings.push(format!("huge page limit for {size} is not applied: this host has no hugetlb controller"));
            continue;
        }
        let entry = json!({"pageSize": size, "limit": limit});
        let origin = Origin::request("container.resources.hugepage_limits");
        spec.put("/linux/resources/hugepageLimits", size, entry, origin)?;
    }
    for (key, value) in &resources.unified {
        let pointer = format!("/linux/resources/unified/{}", token(key));
        spec.set(&pointer, value, Origin::request(format!("container.resources.unified[{key}]")))?;
    }
    oom_score(spec, resources, inputs.host, warnings)
}

/// `linux.cgroupsPath` of container `id` below `parent`.
pub(crate) fn cgroup_path(parent: &str, id: &str, systemd: bool) -> String {
    if systemd {
        let slice = parent.rsplit('/').find(|part| !part.is_empty()).unwrap_or("system.slice");
        return format!("{slice}:plimsoll:{id}");
    }
    format!("{}/{id}", parent.trim_end_matches('/'))
}

fn cgroup(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let path = cgroup_path(inputs.cgroup_parent, inputs.id, inputs.systemd_cgroup);
    let origin = match inputs.sandbox.cgroup_parent.is_empty() {
        true => Origin::handler("daemon", "cgroup_root"),
        false => Origin::request("sandbox.cgroup_parent"),
    };
    spec.set("/linux/cgroupsPath", path, origin)
}

fn cpu(spec: &mut Builder, resources: &Resources) -> Result<()> {
    let numbers = [
        ("period", resources.cpu_period, "cpu_period"),
        ("quota", resources.cpu_quota, "cpu_quota"),
        ("shares", resources.cpu_shares, "cpu_shares"),
    ];
    for (field, value, name) in numbers.into_iter().filter(|(_, value, _)| *value != 0) {
        let origin = Origin::request(format!("container.resources.{name}"));
        spec.set(&format!("/linux/resources/cpu/{field}"), value, origin)?;
    }
    for (field, value, name) in
        [("cpus", &resources.cpuset_cpus, "cpuset_cpus"), ("mems", &resources.cpuset_mems, "cpuset_mems")]
    {
        if !value.is_empty() {
            let origin = Origin::request(format!("container.resources.{name}"));
            spec.set(&format!("/linux/resources/cpu/{field}"), value, origin)?;
        }
    }
    Ok(())
}

fn memory(spec: &mut Builder, resources: &Resources, host: &Host, warnings: &mut Warnings) -> Result<()> {
    if resources.memory_limit != 0 {
        let origin = Origin::request("container.resources.memory_limit");
        spec.set("/linux/resources/memory/limit", resources.memory_limit, origin)?;
    }
    if resources.memory_swap_limit == 0 {
        return Ok(());
    }
    if !host.swap_limit {
        warnings.push("the swap limit is not applied: this host does not account for swap".into());
        return Ok(());
    }
    let origin = Origin::request("container.resources.memory_swap_limit");
    spec.set("/linux/resources/memory/swap", resources.memory_swap_limit, origin)
}

/// Lowering needs CAP_SYS_RESOURCE; without it the wish is raised to what is possible, and said.
fn oom_score(spec: &mut Builder, resources: &Resources, host: &Host, warnings: &mut Warnings) -> Result<()> {
    let wanted = resources.oom_score_adj;
    if wanted >= host.oom_score_floor {
        let origin = Origin::request("container.resources.oom_score_adj");
        return spec.set("/process/oomScoreAdj", wanted, origin);
    }
    let floor = host.oom_score_floor;
    warnings.push(format!("oom_score_adj {wanted} becomes {floor}: this process lacks CAP_SYS_RESOURCE"));
    let fact = format!("oom_score_adj below {floor} needs CAP_SYS_RESOURCE; {wanted} was asked for");
    spec.set("/process/oomScoreAdj", floor, Origin::kernel(fact))
}
