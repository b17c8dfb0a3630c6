//! The files of cgroup v2.

use super::Setting;
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{BlockIo, Cpu, Memory, Resources};

/// In the order in which they must be written to a fresh group. Device rules are a program, not a file: see the caller.
pub(crate) fn v2_settings(resources: &Resources) -> Result<Vec<Setting>, Fault> {
    let mut out = Vec::new();
    if let Some(cpu) = &resources.cpu {
        self::cpu(cpu, &mut out);
    }
    if let Some(memory) = &resources.memory {
        self::memory(memory, &mut out)?;
    }
    if let Some(limit) = resources.pids.and_then(|p| p.limit) {
        let value = if limit < 0 { "max".to_owned() } else { limit.max(1).to_string() };
        out.push(Setting::new("pids", "pids.max", value, "/pids/limit"));
    }
    if let Some(io) = &resources.block_io {
        block_io(io, &mut out);
    }
    for limit in &resources.hugepage_limits {
        let file = format!("hugetlb.{}.max", limit.page_size);
        let value = if limit.limit >= u64::MAX >> 1 { "max".to_owned() } else { limit.limit.to_string() };
        out.push(Setting::new("hugetlb", &file, value, "/hugepageLimits"));
    }
    for (file, value) in &resources.unified {
        if file.contains('/') || file.starts_with("cgroup.") {
            return Err(bad_config("/linux/resources/unified", format!("{file:?} is not a limit")));
        }
        out.push(Setting::new("unified", file, value, "/unified"));
    }
    Ok(out)
}

fn cpu(cpu: &Cpu, out: &mut Vec<Setting>) {
    if let Some(cpus) = cpu.cpus.as_deref().filter(|c| !c.is_empty()) {
        out.push(Setting::new("cpuset", "cpuset.cpus", cpus, "/cpu/cpus"));
    }
    if let Some(mems) = cpu.mems.as_deref().filter(|m| !m.is_empty()) {
        out.push(Setting::new("cpuset", "cpuset.mems", mems, "/cpu/mems"));
    }
    if let Some(shares) = cpu.shares.filter(|s| *s != 0) {
        out.push(Setting::new("cpu", "cpu.weight", weight(shares), "/cpu/shares"));
    }
    let (quota, period) = (cpu.quota.filter(|q| *q != 0), cpu.period.filter(|p| *p != 0));
    if quota.is_some() || period.is_some() {
        let quota = quota.filter(|q| *q > 0).map_or("max".to_owned(), |q| q.to_string());
        out.push(Setting::new("cpu", "cpu.max", format!("{quota} {}", period.unwrap_or(100_000)), "/cpu/quota"));
    }
    if let Some(burst) = cpu.burst {
        out.push(Setting::new("cpu", "cpu.max.burst", burst, "/cpu/burst"));
    }
    if let Some(idle) = cpu.idle {
        out.push(Setting::new("cpu", "cpu.idle", idle, "/cpu/idle"));
    }
}

/// v1 shares (2–262144, 1024 by default) to v2 weight (1–10000, 100 by default): runc's and crun's quadratic curve through
/// the three pairs of end and default values.
fn weight(shares: u64) -> u64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
}

fn bytes(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

fn memory(memory: &Memory, out: &mut Vec<Setting>) -> Result<(), Fault> {
    let limit = memory.limit.filter(|l| *l != 0);
    if let Some(limit) = limit {
        out.push(Setting::new("memory", "memory.max", bytes(limit), "/memory/limit"));
    }
    if let Some(swap) = memory.swap.filter(|s| *s != 0) {
        // v1 counts memory and swap together, v2 swap alone.
        let alone = match (swap, limit) {
            (..0, _) => -1,
            (swap, Some(limit)) if limit > 0 => swap - limit,
            _ => return Err(bad_config("/linux/resources/memory/swap", "needs a memory limit")),
        };
        let setting = Setting::new("memory", "memory.swap.max", bytes(alone), "/memory/swap");
        out.push(if alone <= 0 { setting.optional() } else { setting });
    }
    if let Some(reservation) = memory.reservation.filter(|r| *r != 0) {
        out.push(Setting::new("memory", "memory.low", bytes(reservation), "/memory/reservation"));
    }
    Ok(())
}

fn block_io(io: &BlockIo, out: &mut Vec<Setting>) {
    if let Some(weight) = io.weight.filter(|w| *w != 0) {
        out.push(Setting::new("io", "io.bfq.weight", weight, "/blockIO/weight"));
    }
    let throttles = [
        (&io.throttle_read_bps_device, "rbps", "/blockIO/throttleReadBpsDevice"),
        (&io.throttle_write_bps_device, "wbps", "/blockIO/throttleWriteBpsDevice"),
        (&io.throttle_read_iops_device, "riops", "/blockIO/throttleReadIOPSDevice"),
        (&io.throttle_write_iops_device, "wiops", "/blockIO/throttleWriteIOPSDevice"),
    ];
    for (list, key, pointer) in throttles {
        for t in list {
            out.push(Setting::new("io", "io.max", format!("{}:{} {key}={}", t.major, t.minor, t.rate), pointer));
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_become_weights_through_the_three_known_pairs() {
        assert_eq!([weight(2), weight(1024), weight(262_144)], [1, 100, 10_000]);
    }

    #[test]
    fn swap_is_counted_alone() {
        let memory = Memory { limit: Some(100), swap: Some(150), ..Memory::default() };
        let got = v2_settings(&Resources { memory: Some(memory), ..Resources::default() }).expect("settings");
        assert_eq!(got[1].file, "memory.swap.max");
        assert_eq!(got[1].value, "50");
    }
}
