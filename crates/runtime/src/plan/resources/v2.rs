//! The files of cgroup v2.

use super::{Setting, pids, rdma, unified};
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{BlockIo, Cpu, HugepageLimit, Memory, Resources};

/// In the order in which they must be written to a fresh group. Device rules are a program, not a file: see the caller.
pub(crate) fn v2_settings(resources: &Resources) -> Result<Vec<Setting>, Fault> {
    refuse(resources)?;
    let mut out = Vec::new();
    pids(resources, &mut out);
    if let Some(memory) = &resources.memory {
        self::memory(memory, &mut out)?;
    }
    if let Some(io) = &resources.block_io {
        block_io(io, &mut out);
    }
    if let Some(cpu) = &resources.cpu {
        self::cpu(cpu, &mut out);
    }
    for (index, limit) in resources.hugepage_limits.iter().enumerate() {
        hugepages(index, limit, &mut out);
    }
    rdma(resources, &mut out);
    unified::settings(&resources.unified, &mut out);
    Ok(out)
}

/// What v2 has no control for and what would otherwise be a limit that is not there.
fn refuse(resources: &Resources) -> Result<(), Fault> {
    if resources.network.as_ref().is_some_and(|n| n.class_id.is_some_and(|c| c != 0) || !n.priorities.is_empty()) {
        return Err(bad_config("/linux/resources/network", "cgroup v2 has no network classes and priorities"));
    }
    let Some(cpu) = &resources.cpu else { return Ok(()) };
    if cpu.realtime_runtime.is_some_and(|v| v != 0) || cpu.realtime_period.is_some_and(|v| v != 0) {
        return Err(bad_config("/linux/resources/cpu", "cgroup v2 has no realtime limits"));
    }
    Ok(())
}

fn cpu(cpu: &Cpu, out: &mut Vec<Setting>) {
    if let Some(idle) = cpu.idle {
        out.push(Setting::new("cpu", "cpu.idle", idle, "/cpu/idle"));
    }
    if let Some(shares) = cpu.shares.filter(|s| *s != 0) {
        out.push(Setting::new("cpu", "cpu.weight", weight(shares), "/cpu/shares"));
    }
    let (quota, period) = (cpu.quota.filter(|q| *q != 0), cpu.period.filter(|p| *p != 0));
    if let Some(burst) = cpu.burst {
        let setting = Setting::new("cpu", "cpu.max.burst", burst, "/cpu/burst");
        out.push(if quota.is_some() { setting.retried() } else { setting });
    }
    if quota.is_some() || period.is_some() {
        let value = quota.filter(|q| *q > 0).map_or("max".to_owned(), |q| q.to_string());
        let pointer = if quota.is_some() { "/cpu/quota" } else { "/cpu/period" };
        out.push(Setting::new("cpu", "cpu.max", format!("{value} {}", period.unwrap_or(100_000)), pointer));
    }
    if let Some(cpus) = cpu.cpus.as_deref().filter(|c| !c.is_empty()) {
        out.push(Setting::new("cpuset", "cpuset.cpus", cpus, "/cpu/cpus"));
    }
    if let Some(mems) = cpu.mems.as_deref().filter(|m| !m.is_empty()) {
        out.push(Setting::new("cpuset", "cpuset.mems", mems, "/cpu/mems"));
    }
}

/// v1 shares (2–262144, 1024 by default) to v2 weight (1–10000, 100 by default): runc's and crun's quadratic curve through
/// the three pairs of end and default values.
pub(crate) fn weight(shares: u64) -> u64 {
    let log = (shares.clamp(2, 262_144) as f64).log2();
    let exponent = (log * log + 125.0 * log) / 612.0 - 7.0 / 34.0;
    (10f64.powf(exponent).ceil() as u64).clamp(1, 10_000)
}

fn bytes(value: i64) -> String {
    if value < 0 { "max".to_owned() } else { value.to_string() }
}

/// v1 counts memory and swap together, v2 swap alone. -1 is no limit; none is "leave it".
pub(crate) fn swap_alone(memory: &Memory) -> Result<Option<i64>, Fault> {
    let limit = memory.limit.filter(|l| *l != 0);
    match (memory.swap.filter(|s| *s != 0), limit) {
        // As v1 does: memory without limit means both without.
        (None, Some(..0)) => Ok(Some(-1)),
        (None, _) => Ok(None),
        (Some(swap), _) if swap < 0 => Ok(Some(-1)),
        (Some(swap), Some(..0)) => Ok(Some(swap)),
        (Some(swap), Some(limit)) if swap >= limit => Ok(Some(swap - limit)),
        (Some(_), Some(_)) => Err(bad_config("/linux/resources/memory/swap", "must be at least the memory limit")),
        (Some(_), None) => {
            Err(bad_config("/linux/resources/memory/swap", "unable to set swap limit without memory limit"))
        }
    }
}

fn memory(memory: &Memory, out: &mut Vec<Setting>) -> Result<(), Fault> {
    if let Some(swap) = swap_alone(memory)? {
        let setting = Setting::new("memory", "memory.swap.max", bytes(swap), "/memory/swap");
        // No swap accounting: then neither "no swap" nor "no limit" needs anything.
        out.push(if swap <= 0 { setting.optional() } else { setting });
    }
    if let Some(limit) = memory.limit.filter(|l| *l != 0) {
        out.push(Setting::new("memory", "memory.max", bytes(limit), "/memory/limit"));
    }
    if let Some(reservation) = memory.reservation.filter(|r| *r != 0) {
        out.push(Setting::new("memory", "memory.low", bytes(reservation), "/memory/reservation"));
    }
    Ok(())
}

fn block_io(io: &BlockIo, out: &mut Vec<Setting>) {
    if let Some(weight) = io.weight.filter(|w| *w != 0) {
        // BFQ takes the value as it is; `io.weight` goes from 1 to 10000 where the specification goes from 10 to 1000.
        let plain = 1 + (u64::from(weight).max(10) - 10) * 9999 / 990;
        out.push(Setting::new("io", "io.bfq.weight", weight, "/blockIO/weight").or("io.weight", plain));
    }
    for (index, device) in io.weight_device.iter().enumerate() {
        if let Some(weight) = device.weight.filter(|w| *w != 0) {
            let value = format!("{}:{} {weight}", device.major, device.minor);
            let pointer = format!("/blockIO/weightDevice/{index}");
            out.push(Setting::new("io", "io.bfq.weight", value, pointer).optional());
        }
    }
    let throttles = [
        (&io.throttle_read_bps_device, "rbps", "throttleReadBpsDevice"),
        (&io.throttle_write_bps_device, "wbps", "throttleWriteBpsDevice"),
        (&io.throttle_read_iops_device, "riops", "throttleReadIOPSDevice"),
        (&io.throttle_write_iops_device, "wiops", "throttleWriteIOPSDevice"),
    ];
    for (list, key, field) in throttles {
        for (index, t) in list.iter().enumerate() {
            // A rate of 0 takes the limit away, as in v1.
            let rate = if t.rate == 0 { "max".to_owned() } else { t.rate.to_string() };
            let value = format!("{}:{} {key}={rate}", t.major, t.minor);
            out.push(Setting::new("io", "io.max", value, format!("/blockIO/{field}/{index}")));
        }
    }
}

fn hugepages(index: usize, limit: &HugepageLimit, out: &mut Vec<Setting>) {
    let value = if limit.limit >= u64::MAX >> 1 { "max".to_owned() } else { limit.limit.to_string() };
    let pointer = format!("/hugepageLimits/{index}");
    out.push(Setting::new("hugetlb", &format!("hugetlb.{}.max", limit.page_size), &value, pointer.clone()));
    // Reservations are counted apart since Linux 5.7.
    let reserved = format!("hugetlb.{}.rsvd.max", limit.page_size);
    out.push(Setting::new("hugetlb", &reserved, &value, pointer).optional());
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::resources::Missing;

    #[test]
    fn shares_become_weights_through_the_three_known_pairs() {
        assert_eq!([weight(2), weight(1024), weight(262_144)], [1, 100, 10_000]);
    }

    #[test]
    fn swap_is_counted_alone() {
        let alone = |limit, swap| swap_alone(&Memory { limit, swap, ..Memory::default() }).ok();
        assert_eq!(alone(Some(100), Some(150)), Some(Some(50)));
        assert_eq!(alone(Some(100), Some(100)), Some(Some(0)));
        assert_eq!(alone(Some(100), Some(-1)), Some(Some(-1)));
        assert_eq!(alone(Some(-1), None), Some(Some(-1)));
        assert_eq!(alone(Some(-1), Some(70)), Some(Some(70)));
        assert_eq!(alone(Some(100), None), Some(None));
        assert_eq!(alone(None, Some(70)), None);
        assert_eq!(alone(Some(100), Some(70)), None);
    }

    #[test]
    fn a_burst_waits_for_the_quota() {
        let cpu = Cpu { burst: Some(10), quota: Some(20), ..Cpu::default() };
        let got = v2_settings(&Resources { cpu: Some(cpu), ..Resources::default() }).expect("settings");
        assert_eq!((got[0].file.as_str(), got[0].retry), ("cpu.max.burst", true));
        assert_eq!(got[1].value, "20 100000");
    }

    #[test]
    fn without_bfq_the_weight_is_scaled() {
        let io = BlockIo { weight: Some(1000), ..BlockIo::default() };
        let got = v2_settings(&Resources { block_io: Some(io), ..Resources::default() }).expect("settings");
        assert_eq!(got[0].missing, Missing::Instead("io.weight", "10000".into()));
    }
}
