//! The files of cgroup v1.

use super::{Setting, pids, rdma, rules};
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{BlockIo, Cpu, Memory, Network, Resources};

/// In the order in which they must be written to a fresh group.
pub(crate) fn v1_settings(resources: &Resources) -> Result<Vec<Setting>, Fault> {
    if !resources.unified.is_empty() {
        return Err(bad_config("/linux/resources/unified", "this host has cgroup v1 controllers"));
    }
    let mut out = Vec::new();
    if let Some(cpu) = &resources.cpu {
        self::cpu(cpu, &mut out);
    }
    if let Some(memory) = &resources.memory {
        self::memory(memory, &mut out);
    }
    pids(resources, &mut out);
    if let Some(io) = &resources.block_io {
        block_io(io, &mut out);
    }
    for (index, limit) in resources.hugepage_limits.iter().enumerate() {
        let pointer = format!("/hugepageLimits/{index}");
        let file = format!("hugetlb.{}.limit_in_bytes", limit.page_size);
        out.push(Setting::new("hugetlb", &file, limit.limit, pointer.clone()));
        let reserved = format!("hugetlb.{}.rsvd.limit_in_bytes", limit.page_size);
        out.push(Setting::new("hugetlb", &reserved, limit.limit, pointer).optional());
    }
    if let Some(network) = &resources.network {
        self::network(network, &mut out);
    }
    rdma(resources, &mut out);
    Ok(out)
}

/// Device rules; `update` leaves them alone.
pub(crate) fn v1_devices(resources: &Resources) -> Result<Vec<Setting>, Fault> {
    let one = |rule: super::Rule| {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        let value = if rule.is_everything() { "a".to_owned() } else { rule.to_string() };
        Setting::new("devices", file, value, "/devices")
    };
    Ok(rules(&resources.devices)?.into_iter().map(one).collect())
}

fn cpu(cpu: &Cpu, out: &mut Vec<Setting>) {
    if let Some(cpus) = cpu.cpus.as_deref().filter(|c| !c.is_empty()) {
        out.push(Setting::new("cpuset", "cpuset.cpus", cpus, "/cpu/cpus"));
    }
    if let Some(mems) = cpu.mems.as_deref().filter(|m| !m.is_empty()) {
        out.push(Setting::new("cpuset", "cpuset.mems", mems, "/cpu/mems"));
    }
    if let Some(period) = cpu.realtime_period.filter(|p| *p != 0) {
        out.push(Setting::new("cpu", "cpu.rt_period_us", period, "/cpu/realtimePeriod").retried());
    }
    if let Some(runtime) = cpu.realtime_runtime.filter(|r| *r != 0) {
        out.push(Setting::new("cpu", "cpu.rt_runtime_us", runtime, "/cpu/realtimeRuntime"));
    }
    if let Some(shares) = cpu.shares.filter(|s| *s != 0) {
        out.push(Setting::new("cpu", "cpu.shares", shares, "/cpu/shares"));
    }
    let quota = cpu.quota.filter(|q| *q != 0);
    if let Some(period) = cpu.period.filter(|p| *p != 0) {
        // Smaller than before it may break the parent's limit until the quota is written.
        let setting = Setting::new("cpu", "cpu.cfs_period_us", period, "/cpu/period");
        out.push(if quota.is_some() { setting.retried() } else { setting });
    }
    if let Some(burst) = cpu.burst {
        let setting = Setting::new("cpu", "cpu.cfs_burst_us", burst, "/cpu/burst");
        out.push(if quota.is_some() { setting.retried() } else { setting });
    }
    if let Some(quota) = quota {
        out.push(Setting::new("cpu", "cpu.cfs_quota_us", quota, "/cpu/quota"));
    }
    if let Some(idle) = cpu.idle {
        out.push(Setting::new("cpu", "cpu.idle", idle, "/cpu/idle"));
    }
}

fn memory(memory: &Memory, out: &mut Vec<Setting>) {
    let limit = memory.limit.filter(|l| *l != 0);
    // No limit on memory means none on both. Without swap accounting the file is not there; "no limit" is met anyway.
    let swap = memory.swap.filter(|s| *s != 0).or(limit.filter(|l| *l < 0));
    if let Some(limit) = limit {
        // The two limits of a group must fit each other after each write.
        let setting = Setting::new("memory", "memory.limit_in_bytes", limit, "/memory/limit");
        out.push(if swap.is_some() { setting.retried() } else { setting });
    }
    if let Some(swap) = swap {
        let setting = Setting::new("memory", "memory.memsw.limit_in_bytes", swap, "/memory/swap");
        out.push(if swap < 0 { setting.optional() } else { setting });
    }
    if let Some(reservation) = memory.reservation.filter(|r| *r != 0) {
        out.push(Setting::new("memory", "memory.soft_limit_in_bytes", reservation, "/memory/reservation"));
    }
    if let Some(tcp) = memory.kernel_tcp.filter(|t| *t != 0) {
        out.push(Setting::new("memory", "memory.kmem.tcp.limit_in_bytes", tcp, "/memory/kernelTCP"));
    }
    if let Some(swappiness) = memory.swappiness.filter(|s| *s <= 100) {
        out.push(Setting::new("memory", "memory.swappiness", swappiness, "/memory/swappiness"));
    }
    if memory.disable_oom_killer == Some(true) {
        out.push(Setting::new("memory", "memory.oom_control", 1, "/memory/disableOOMKiller"));
    }
    if memory.use_hierarchy == Some(true) {
        out.push(Setting::new("memory", "memory.use_hierarchy", 1, "/memory/useHierarchy").optional());
    }
}

fn block_io(io: &BlockIo, out: &mut Vec<Setting>) {
    if let Some(weight) = io.weight.filter(|w| *w != 0) {
        out.push(Setting::new("blkio", "blkio.weight", weight, "/blockIO/weight").or("blkio.bfq.weight", weight));
    }
    // CFQ's, which had leaves, went away with Linux 5.0: refused there for want of the file.
    if let Some(weight) = io.leaf_weight.filter(|w| *w != 0) {
        out.push(Setting::new("blkio", "blkio.leaf_weight", weight, "/blockIO/leafWeight"));
    }
    for (index, device) in io.weight_device.iter().enumerate() {
        let pointer = format!("/blockIO/weightDevice/{index}");
        let value = |weight: u16| format!("{}:{} {weight}", device.major, device.minor);
        if let Some(weight) = device.weight.filter(|w| *w != 0) {
            let setting = Setting::new("blkio", "blkio.weight_device", value(weight), pointer.clone());
            out.push(setting.or("blkio.bfq.weight_device", value(weight)));
        }
        if let Some(weight) = device.leaf_weight.filter(|w| *w != 0) {
            out.push(Setting::new("blkio", "blkio.leaf_weight_device", value(weight), pointer));
        }
    }
    let throttles = [
        (&io.throttle_read_bps_device, "read_bps", "throttleReadBpsDevice"),
        (&io.throttle_write_bps_device, "write_bps", "throttleWriteBpsDevice"),
        (&io.throttle_read_iops_device, "read_iops", "throttleReadIOPSDevice"),
        (&io.throttle_write_iops_device, "write_iops", "throttleWriteIOPSDevice"),
    ];
    for (list, name, field) in throttles {
        for (index, t) in list.iter().enumerate() {
            let value = format!("{}:{} {}", t.major, t.minor, t.rate);
            let file = format!("blkio.throttle.{name}_device");
            out.push(Setting::new("blkio", &file, value, format!("/blockIO/{field}/{index}")));
        }
    }
}

fn network(network: &Network, out: &mut Vec<Setting>) {
    if let Some(class) = network.class_id.filter(|c| *c != 0) {
        out.push(Setting::new("net_cls", "net_cls.classid", class, "/network/classID"));
    }
    for (index, interface) in network.priorities.iter().enumerate() {
        let value = format!("{} {}", interface.name, interface.priority);
        out.push(Setting::new("net_prio", "net_prio.ifpriomap", value, format!("/network/priorities/{index}")));
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_spec::runtime::Pids;

    #[test]
    fn limits_become_files() {
        let resources = Resources {
            memory: Some(Memory { limit: Some(1 << 20), swap: Some(-1), ..Memory::default() }),
            cpu: Some(Cpu { shares: Some(512), quota: Some(50_000), period: Some(100_000), ..Cpu::default() }),
            pids: Some(Pids { limit: Some(0) }),
            ..Resources::default()
        };
        let got = v1_settings(&resources).expect("settings");
        let value = |file: &str| got.iter().find(|s| s.file == file).map(|s| s.value.as_str());
        assert_eq!(value("memory.limit_in_bytes"), Some("1048576"));
        assert_eq!(value("cpu.cfs_quota_us"), Some("50000"));
        assert_eq!(value("pids.max"), Some("1"));
        let at = |file: &str| got.iter().position(|s| s.file == file);
        assert!(at("cpu.cfs_period_us") < at("cpu.cfs_quota_us"));
        assert!(at("memory.limit_in_bytes") < at("memory.memsw.limit_in_bytes"));
    }
}
