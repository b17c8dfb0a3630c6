//! cgroup v1 (Documentation/admin-guide/cgroup-v1): a folder for each controller.

use super::files::{Files, device};
use plimsoll_proto::shim::cgroups_v1 as wire;
use std::path::PathBuf;

/// cpuacct.stat counts in USER_HZ, which is 100 on every architecture of ours.
const TICK: u64 = 10_000_000;

pub(super) fn metrics(cgroups: &[(String, PathBuf)]) -> wire::Metrics {
    let of = |name: &str| {
        let folder =
            cgroups.iter().find(|(controllers, _)| controllers.split(',').any(|controller| controller == name));
        Files(folder.map(|(_, path)| path.as_path()))
    };
    let (pids, memory) = (of("pids"), of("memory"));
    let oom = memory.table("memory.oom_control");
    wire::Metrics {
        pids: Some(wire::PidsStat { current: pids.number("pids.current", 0), limit: pids.number("pids.max", 0) }),
        cpu: Some(wire::CpuStat { usage: Some(usage(of("cpuacct"))), throttling: Some(throttling(of("cpu"))) }),
        memory: Some(memory_stat(memory)),
        blkio: Some(blkio(of("blkio"))),
        memory_oom_control: Some(wire::MemoryOomControl {
            oom_kill_disable: oom.of("oom_kill_disable"),
            under_oom: oom.of("under_oom"),
            oom_kill: oom.of("oom_kill"),
        }),
        ..Default::default()
    }
}

fn usage(files: Files<'_>) -> wire::CpuUsage {
    let ticks = files.table("cpuacct.stat");
    let per_cpu = files.text("cpuacct.usage_percpu");
    wire::CpuUsage {
        total: files.number("cpuacct.usage", 0),
        kernel: ticks.of("system").saturating_mul(TICK),
        user: ticks.of("user").saturating_mul(TICK),
        per_cpu: per_cpu.split_whitespace().filter_map(|n| n.parse().ok()).collect(),
    }
}

fn throttling(files: Files<'_>) -> wire::Throttle {
    let table = files.table("cpu.stat");
    wire::Throttle {
        periods: table.of("nr_periods"),
        throttled_periods: table.of("nr_throttled"),
        throttled_time: table.of("throttled_time"),
    }
}

fn memory_stat(files: Files<'_>) -> wire::MemoryStat {
    let table = files.table("memory.stat");
    let entry = |name: &str| {
        let number = |what: &str| files.number(&format!("memory.{name}{what}"), 0);
        Some(wire::MemoryEntry {
            limit: number("limit_in_bytes"),
            usage: number("usage_in_bytes"),
            max: number("max_usage_in_bytes"),
            failcnt: number("failcnt"),
        })
    };
    wire::MemoryStat {
        cache: table.of("cache"),
        rss: table.of("rss"),
        rss_huge: table.of("rss_huge"),
        mapped_file: table.of("mapped_file"),
        dirty: table.of("dirty"),
        writeback: table.of("writeback"),
        pg_pg_in: table.of("pgpgin"),
        pg_pg_out: table.of("pgpgout"),
        pg_fault: table.of("pgfault"),
        pg_maj_fault: table.of("pgmajfault"),
        inactive_anon: table.of("inactive_anon"),
        active_anon: table.of("active_anon"),
        inactive_file: table.of("inactive_file"),
        active_file: table.of("active_file"),
        unevictable: table.of("unevictable"),
        hierarchical_memory_limit: table.of("hierarchical_memory_limit"),
        hierarchical_swap_limit: table.of("hierarchical_memsw_limit"),
        total_cache: table.of("total_cache"),
        total_rss: table.of("total_rss"),
        total_rss_huge: table.of("total_rss_huge"),
        total_mapped_file: table.of("total_mapped_file"),
        total_dirty: table.of("total_dirty"),
        total_writeback: table.of("total_writeback"),
        total_pg_pg_in: table.of("total_pgpgin"),
        total_pg_pg_out: table.of("total_pgpgout"),
        total_pg_fault: table.of("total_pgfault"),
        total_pg_maj_fault: table.of("total_pgmajfault"),
        total_inactive_anon: table.of("total_inactive_anon"),
        total_active_anon: table.of("total_active_anon"),
        total_inactive_file: table.of("total_inactive_file"),
        total_active_file: table.of("total_active_file"),
        total_unevictable: table.of("total_unevictable"),
        usage: entry(""),
        swap: entry("memsw."),
        kernel: entry("kmem."),
        kernel_tcp: entry("kmem.tcp."),
    }
}

fn blkio(files: Files<'_>) -> wire::BlkIoStat {
    let entries = |file: &str| {
        let entry = |line: &str| {
            let (major, minor, rest) = device(line)?;
            let (op, value) = rest.split_once(' ')?;
            let value = value.trim().parse().ok()?;
            Some(wire::BlkIoEntry { op: op.to_owned(), device: String::new(), major, minor, value })
        };
        files.text(file).lines().filter_map(entry).collect()
    };
    wire::BlkIoStat {
        io_service_bytes_recursive: entries("blkio.throttle.io_service_bytes_recursive"),
        io_serviced_recursive: entries("blkio.throttle.io_serviced_recursive"),
        ..Default::default()
    }
}
