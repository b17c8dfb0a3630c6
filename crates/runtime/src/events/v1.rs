//! Figures from the folders of cgroup v1, one per controller.

use super::read::{hugepage_sizes, list, number, table, text};
use super::stats::{BlockIo, Counter, Cpu, Cpuset, DeviceCount, Hugetlb, Memory, Pids, Stats};
use std::path::{Path, PathBuf};

/// USER_HZ: what the kernel shows times in, whatever its own clock.
const TICKS: u64 = 100;
const NANOSECONDS: u64 = 1_000_000_000;

pub(super) fn stats(folders: &[(String, PathBuf)]) -> Stats {
    let of = |name: &str| {
        let found = folders.iter().find(|(controllers, _)| controllers.split(',').any(|c| c == name));
        found.map(|(_, path)| path.as_path())
    };
    let mut out = Stats::default();
    if let Some(folder) = of("cpuacct") {
        usage(folder, &mut out.cpu);
    }
    if let Some(folder) = of("cpu") {
        let table = table(folder, "cpu.stat");
        let value = |key: &str| table.get(key).copied().unwrap_or(0);
        out.cpu.throttling.periods = value("nr_periods");
        out.cpu.throttling.throttled_periods = value("nr_throttled");
        out.cpu.throttling.throttled_time = value("throttled_time");
    }
    if let Some(folder) = of("cpuset") {
        out.cpuset = cpuset(folder);
    }
    if let Some(folder) = of("memory") {
        out.memory = memory(folder);
    }
    if let Some(folder) = of("pids") {
        let limit = number(folder, "pids.max").filter(|limit| *limit != u64::MAX).unwrap_or(0);
        out.pids = Pids { current: number(folder, "pids.current").unwrap_or(0), limit };
    }
    if let Some(folder) = of("blkio") {
        out.blkio = block_io(folder);
    }
    if let Some(folder) = of("hugetlb") {
        out.hugetlb = hugepage_sizes().into_iter().filter_map(|size| hugetlb(folder, size)).collect();
    }
    out
}

fn usage(folder: &Path, cpu: &mut Cpu) {
    let modes = table(folder, "cpuacct.stat");
    let mode = |key: &str| modes.get(key).map_or(0, |ticks| ticks * NANOSECONDS / TICKS);
    cpu.usage.total = number(folder, "cpuacct.usage").unwrap_or(0);
    cpu.usage.user = mode("user");
    cpu.usage.kernel = mode("system");
    cpu.usage.percpu = text(folder, "cpuacct.usage_percpu").split_whitespace().filter_map(|n| n.parse().ok()).collect();
    // A heading, then CPU, user, system.
    for line in text(folder, "cpuacct.usage_all").lines().skip(1) {
        let mut columns = line.split(' ').skip(1).filter_map(|n| n.parse().ok());
        if let (Some(user), Some(kernel)) = (columns.next(), columns.next()) {
            cpu.usage.percpu_user.push(user);
            cpu.usage.percpu_kernel.push(kernel);
        }
    }
}

fn cpuset(folder: &Path) -> Cpuset {
    let value = |name: &str| number(folder, &format!("cpuset.{name}")).unwrap_or(0);
    Cpuset {
        cpus: list(folder, "cpuset.cpus"),
        cpu_exclusive: value("cpu_exclusive"),
        mems: list(folder, "cpuset.mems"),
        mem_hardwall: value("mem_hardwall"),
        mem_exclusive: value("mem_exclusive"),
        memory_migrate: value("memory_migrate"),
        memory_spread_page: value("memory_spread_page"),
        memory_spread_slab: value("memory_spread_slab"),
        memory_pressure: value("memory_pressure"),
        sched_load_balance: value("sched_load_balance"),
        sched_relax_domain_level: text(folder, "cpuset.sched_relax_domain_level").parse().unwrap_or(0),
    }
}

fn memory(folder: &Path) -> Memory {
    let raw = table(folder, "memory.stat");
    let counter = |name: &str| -> Counter {
        let value = |what: &str| number(folder, &format!("{name}.{what}"));
        let Some(usage) = value("usage_in_bytes") else { return Counter::default() };
        let [max, failcnt, limit] =
            ["max_usage_in_bytes", "failcnt", "limit_in_bytes"].map(|what| value(what).unwrap_or(0));
        Counter { limit, usage, max, failcnt }
    };
    Memory {
        cache: raw.get("cache").copied().unwrap_or(0),
        usage: counter("memory"),
        swap: counter("memory.memsw"),
        kernel: counter("memory.kmem"),
        kernel_tcp: counter("memory.kmem.tcp"),
        raw,
        psi: None,
    }
}

/// BFQ's figures with its debugging on, else its two, else CFQ's (before Linux 5.0), else the throttle's: the first set there is.
fn block_io(folder: &Path) -> BlockIo {
    let read = |file: &str| devices(&text(folder, file));
    let mut out = BlockIo::default();
    for prefix in ["blkio.bfq", "blkio"] {
        let of = |name: &str| read(&format!("{prefix}.{name}"));
        out.sectors_recursive = of("sectors_recursive");
        out.io_service_time_recursive = of("io_service_time_recursive");
        out.io_wait_time_recursive = of("io_wait_time_recursive");
        out.io_merged_recursive = of("io_merged_recursive");
        out.io_queued_recursive = of("io_queued_recursive");
        out.io_time_recursive = of("time_recursive");
        out.io_serviced_recursive = of("io_serviced_recursive");
        out.io_service_bytes_recursive = of("io_service_bytes_recursive");
        if out != BlockIo::default() {
            return out;
        }
    }
    for suffix in ["_recursive", ""] {
        out.io_serviced_recursive = read(&format!("blkio.throttle.io_serviced{suffix}"));
        out.io_service_bytes_recursive = read(&format!("blkio.throttle.io_service_bytes{suffix}"));
        if out != BlockIo::default() {
            break;
        }
    }
    out
}

/// `8:0 Read 1` or `8:0 1`; the line of the total has no device.
fn devices(text: &str) -> Vec<DeviceCount> {
    let line = |line: &str| {
        let mut words = line.split_whitespace();
        let (major, minor) = words.next()?.split_once(':')?;
        let rest: Vec<&str> = words.collect();
        let (op, value) = match rest[..] {
            [value] => ("", value),
            [op, value] => (op, value),
            _ => return None,
        };
        let (major, minor, value) = (major.parse().ok()?, minor.parse().ok()?, value.parse().ok()?);
        Some(DeviceCount { major, minor, op: op.to_owned(), value })
    };
    text.lines().filter_map(line).collect()
}

fn hugetlb(folder: &Path, size: String) -> Option<(String, Hugetlb)> {
    let reserved = format!("hugetlb.{size}.rsvd");
    let prefix = match number(folder, &format!("{reserved}.usage_in_bytes")) {
        Some(_) => reserved,
        None => format!("hugetlb.{size}"),
    };
    let value = |what: &str| number(folder, &format!("{prefix}.{what}"));
    let found =
        Hugetlb { usage: value("usage_in_bytes")?, max: value("max_usage_in_bytes")?, failcnt: value("failcnt")? };
    Some((size, found))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn lines_with_and_without_operation() {
        let got = devices("8:0 Read 5\n8:16 7\nTotal 12\n");
        assert_eq!(got.len(), 2);
        assert_eq!((got[0].op.as_str(), got[0].value), ("Read", 5));
        assert_eq!((got[1].op.as_str(), got[1].minor, got[1].value), ("", 16, 7));
    }
}
