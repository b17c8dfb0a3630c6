//! The files of cgroup v1.

use super::{Setting, rules};
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{BlockIo, Cpu, Memory, Resources};

/// In the order in which they must be written to a fresh group.
pub(crate) fn v1_settings(resources: &Resources) -> Result<Vec<Setting>, Fault> {
    if !resources.unified.is_empty() {
        return Err(bad_config("/linux/resources/unified", "this host has cgroup v1 controllers"));
    }
    let mut out = Vec::new();
    devices(resources, &mut out)?;
    if let Some(cpu) = &resources.cpu {
        self::cpu(cpu, &mut out);
    }
    if let Some(memory) = &resources.memory {
        self::memory(memory, &mut out);
    }
    if let Some(limit) = resources.pids.and_then(|p| p.limit) {
        let value = if limit < 0 { "max".to_owned() } else { limit.max(1).to_string() };
        out.push(Setting::new("pids", "pids.max", value, "/pids/limit"));
    }
    if let Some(io) = &resources.block_io {
        block_io(io, &mut out);
    }
    for limit in &resources.hugepage_limits {
        let file = format!("hugetlb.{}.limit_in_bytes", limit.page_size);
        out.push(Setting::new("hugetlb", &file, limit.limit, "/hugepageLimits"));
    }
    Ok(out)
}

fn devices(resources: &Resources, out: &mut Vec<Setting>) -> Result<(), Fault> {
    for rule in rules(&resources.devices)? {
        let file = if rule.allow { "devices.allow" } else { "devices.deny" };
        let value = if rule.is_everything() { "a".to_owned() } else { rule.to_string() };
        out.push(Setting::new("devices", file, value, "/devices"));
    }
    Ok(())
}

fn cpu(cpu: &Cpu, out: &mut Vec<Setting>) {
    if let Some(cpus) = cpu.cpus.as_deref().filter(|c| !c.is_empty()) {
        out.push(Setting::new("cpuset", "cpuset.cpus", cpus, "/cpu/cpus"));
    }
    if let Some(mems) = cpu.mems.as_deref().filter(|m| !m.is_empty()) {
        out.push(Setting::new("cpuset", "cpuset.mems", mems, "/cpu/mems"));
    }
    if let Some(shares) = cpu.shares.filter(|s| *s != 0) {
        out.push(Setting::new("cpu", "cpu.shares", shares, "/cpu/shares"));
    }
    if let Some(period) = cpu.period.filter(|p| *p != 0) {
        out.push(Setting::new("cpu", "cpu.cfs_period_us", period, "/cpu/period"));
    }
    if let Some(quota) = cpu.quota.filter(|q| *q != 0) {
        out.push(Setting::new("cpu", "cpu.cfs_quota_us", quota, "/cpu/quota"));
    }
    if let Some(burst) = cpu.burst {
        out.push(Setting::new("cpu", "cpu.cfs_burst_us", burst, "/cpu/burst"));
    }
    if let Some(idle) = cpu.idle {
        out.push(Setting::new("cpu", "cpu.idle", idle, "/cpu/idle"));
    }
}

fn memory(memory: &Memory, out: &mut Vec<Setting>) {
    if let Some(limit) = memory.limit.filter(|l| *l != 0) {
        out.push(Setting::new("memory", "memory.limit_in_bytes", limit, "/memory/limit"));
    }
    // Without swap accounting the file is not there; "no limit" is then met anyway.
    if let Some(swap) = memory.swap.filter(|s| *s != 0) {
        let setting = Setting::new("memory", "memory.memsw.limit_in_bytes", swap, "/memory/swap");
        out.push(if swap < 0 { setting.optional() } else { setting });
    }
    if let Some(reservation) = memory.reservation.filter(|r| *r != 0) {
        out.push(Setting::new("memory", "memory.soft_limit_in_bytes", reservation, "/memory/reservation"));
    }
    if let Some(tcp) = memory.kernel_tcp.filter(|t| *t != 0) {
        out.push(Setting::new("memory", "memory.kmem.tcp.limit_in_bytes", tcp, "/memory/kernelTCP"));
    }
    if let Some(swappiness) = memory.swappiness {
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
        out.push(Setting::new("blkio", "blkio.bfq.weight", weight, "/blockIO/weight"));
    }
    for device in &io.weight_device {
        if let Some(weight) = device.weight {
            let value = format!("{}:{} {weight}", device.major, device.minor);
            out.push(Setting::new("blkio", "blkio.bfq.weight_device", value, "/blockIO/weightDevice"));
        }
    }
    let throttles = [
        (&io.throttle_read_bps_device, "blkio.throttle.read_bps_device", "/blockIO/throttleReadBpsDevice"),
        (&io.throttle_write_bps_device, "blkio.throttle.write_bps_device", "/blockIO/throttleWriteBpsDevice"),
        (&io.throttle_read_iops_device, "blkio.throttle.read_iops_device", "/blockIO/throttleReadIOPSDevice"),
        (&io.throttle_write_iops_device, "blkio.throttle.write_iops_device", "/blockIO/throttleWriteIOPSDevice"),
    ];
    for (list, file, pointer) in throttles {
        for t in list {
            out.push(Setting::new("blkio", file, format!("{}:{} {}", t.major, t.minor, t.rate), pointer));
        }
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
