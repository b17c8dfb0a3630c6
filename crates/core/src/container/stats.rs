//! ContainerStats: processor, memory and writable layer of one container.

use super::ContainerStats;
use super::list::view;
use super::resolve::known;
use crate::state::blocking;
use crate::{Core, cgroups, clock};
use plimsoll_fault::Result;

/// What the container uses now. A container that does not run has only its writable layer.
pub async fn stats(core: &Core, namespace: &str, id: &str) -> Result<ContainerStats> {
    let (id, record) = known(core, namespace, id)?;
    let snapshotter = core.images().snapshotter(namespace)?;
    let (key, cgroup) = (id.clone(), record.cgroup.clone());
    let (unified, runs) = (core.host().cgroup_unified, record.alive());
    let (used, layer, upper) = blocking(move || {
        let used = if runs { cgroups::usage(&cgroup, unified) } else { cgroups::Usage::default() };
        let upper = snapshotter.mounts(&key)?.into_iter().flat_map(|mount| mount.options);
        let upper = upper.into_iter().find_map(|option| option.strip_prefix("upperdir=").map(str::to_owned));
        Ok((used, snapshotter.usage(&key)?, upper.unwrap_or_default()))
    })
    .await?;
    // What the kubelet compares with limits: memory that cannot simply be taken back.
    let working_set = used.memory.map(|memory| memory.saturating_sub(used.inactive_file.unwrap_or(0)));
    let available = used.memory_limit.zip(working_set).map(|(limit, set)| limit.saturating_sub(set));
    Ok(ContainerStats {
        container: view(id, &record),
        timestamp: clock::now(),
        cpu_nanoseconds: used.cpu_nanoseconds,
        memory_usage: used.memory,
        memory_working_set: working_set,
        memory_available: available,
        memory_rss: used.rss,
        page_faults: used.faults,
        major_page_faults: used.major_faults,
        pids: used.pids,
        layer_bytes: layer.bytes,
        layer_inodes: layer.inodes,
        layer_path: upper,
    })
}
