//! Figures from the one folder of cgroup v2.

use super::read::{hugepage_sizes, number, pressure, table, text};
use super::stats::{BlockIo, Counter, Cpu, DeviceCount, Hugetlb, Memory, Pids, Stats};
use std::path::Path;

pub(super) fn stats(folder: &Path) -> Stats {
    Stats {
        cpu: cpu(folder),
        memory: memory(folder),
        pids: pids(folder),
        blkio: block_io(folder),
        hugetlb: hugepage_sizes().into_iter().filter_map(|size| hugetlb(folder, size)).collect(),
        ..Stats::default()
    }
}

fn cpu(folder: &Path) -> Cpu {
    let table = table(folder, "cpu.stat");
    let value = |key: &str| table.get(key).copied().unwrap_or(0);
    let mut cpu = Cpu { psi: pressure(folder, "cpu.pressure"), ..Cpu::default() };
    cpu.usage.total = value("usage_usec") * 1000;
    cpu.usage.user = value("user_usec") * 1000;
    cpu.usage.kernel = value("system_usec") * 1000;
    cpu.throttling.periods = value("nr_periods");
    cpu.throttling.throttled_periods = value("nr_throttled");
    cpu.throttling.throttled_time = value("throttled_usec") * 1000;
    cpu
}

fn memory(folder: &Path) -> Memory {
    let raw = table(folder, "memory.stat");
    let counter = |name: &str| -> Option<Counter> {
        let value = |what: &str| number(folder, &format!("{name}.{what}"));
        Some(Counter { usage: value("current")?, limit: value("max")?, max: value("peak").unwrap_or(0), failcnt: 0 })
    };
    let usage = counter("memory").unwrap_or_default();
    // Without swap accounting runc reports the memory alone.
    let mut swap = counter("memory.swap").unwrap_or_default();
    swap.usage += usage.usage;
    if swap.limit != u64::MAX {
        swap.limit = swap.limit.saturating_add(usage.limit);
    }
    swap.max = 0;
    let psi = pressure(folder, "memory.pressure");
    Memory { cache: raw.get("file").copied().unwrap_or(0), usage, swap, raw, psi, ..Memory::default() }
}

fn pids(folder: &Path) -> Pids {
    match (number(folder, "pids.current"), number(folder, "pids.max")) {
        (Some(current), limit) => Pids { current, limit: limit.filter(|l| *l != u64::MAX).unwrap_or(0) },
        // The controller is off: then they are counted.
        (None, _) => Pids { current: text(folder, "cgroup.procs").lines().count() as u64, limit: 0 },
    }
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 …`, under v1's names.
fn block_io(folder: &Path) -> BlockIo {
    let mut out = BlockIo { psi: pressure(folder, "io.pressure"), ..BlockIo::default() };
    for line in text(folder, "io.stat").lines() {
        let mut words = line.split_whitespace();
        let Some((major, minor)) = words.next().and_then(|device| device.split_once(':')) else { continue };
        let (Ok(major), Ok(minor)) = (major.parse(), minor.parse()) else { continue };
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            let (list, op) = match key {
                "rbytes" => (&mut out.io_service_bytes_recursive, "Read"),
                "wbytes" => (&mut out.io_service_bytes_recursive, "Write"),
                "rios" => (&mut out.io_serviced_recursive, "Read"),
                "wios" => (&mut out.io_serviced_recursive, "Write"),
                _ => continue,
            };
            let value = value.parse().unwrap_or(0);
            list.push(DeviceCount { major, minor, op: op.to_owned(), value });
        }
    }
    out
}

fn hugetlb(folder: &Path, size: String) -> Option<(String, Hugetlb)> {
    let prefix = format!("hugetlb.{size}");
    let usage =
        number(folder, &format!("{prefix}.rsvd.current")).or_else(|| number(folder, &format!("{prefix}.current")))?;
    let failcnt = table(folder, &format!("{prefix}.events")).get("max").copied()?;
    Some((size, Hugetlb { usage, max: 0, failcnt }))
}
