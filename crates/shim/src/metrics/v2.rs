//! cgroup v2 (Documentation/admin-guide/cgroup-v2): one folder.

use super::files::{Files, device};
use plimsoll_proto::shim::cgroups_v2 as wire;
use std::path::Path;

pub(super) fn metrics(folder: &Path) -> wire::Metrics {
    let files = Files(Some(folder));
    let number = |file: &str| files.number(file, u64::MAX);
    wire::Metrics {
        pids: Some(wire::PidsStat { current: number("pids.current"), limit: number("pids.max") }),
        cpu: Some(cpu(files)),
        memory: Some(memory(files)),
        io: Some(wire::IoStat { usage: files.text("io.stat").lines().filter_map(io).collect(), psi: None }),
        memory_events: Some(events(files)),
        ..Default::default()
    }
}

fn cpu(files: Files<'_>) -> wire::CpuStat {
    let table = files.table("cpu.stat");
    wire::CpuStat {
        usage_usec: table.of("usage_usec"),
        user_usec: table.of("user_usec"),
        system_usec: table.of("system_usec"),
        nr_periods: table.of("nr_periods"),
        nr_throttled: table.of("nr_throttled"),
        throttled_usec: table.of("throttled_usec"),
        psi: None,
    }
}

fn events(files: Files<'_>) -> wire::MemoryEvents {
    let table = files.table("memory.events");
    wire::MemoryEvents {
        low: table.of("low"),
        high: table.of("high"),
        max: table.of("max"),
        oom: table.of("oom"),
        oom_kill: table.of("oom_kill"),
    }
}

fn memory(files: Files<'_>) -> wire::MemoryStat {
    let table = files.table("memory.stat");
    wire::MemoryStat {
        anon: table.of("anon"),
        file: table.of("file"),
        kernel_stack: table.of("kernel_stack"),
        slab: table.of("slab"),
        sock: table.of("sock"),
        shmem: table.of("shmem"),
        file_mapped: table.of("file_mapped"),
        file_dirty: table.of("file_dirty"),
        file_writeback: table.of("file_writeback"),
        anon_thp: table.of("anon_thp"),
        inactive_anon: table.of("inactive_anon"),
        active_anon: table.of("active_anon"),
        inactive_file: table.of("inactive_file"),
        active_file: table.of("active_file"),
        unevictable: table.of("unevictable"),
        slab_reclaimable: table.of("slab_reclaimable"),
        slab_unreclaimable: table.of("slab_unreclaimable"),
        pgfault: table.of("pgfault"),
        pgmajfault: table.of("pgmajfault"),
        // Told apart since Linux 5.9.
        workingset_refault: table.of("workingset_refault_anon") + table.of("workingset_refault_file"),
        workingset_activate: table.of("workingset_activate_anon") + table.of("workingset_activate_file"),
        workingset_nodereclaim: table.of("workingset_nodereclaim"),
        pgrefill: table.of("pgrefill"),
        pgscan: table.of("pgscan"),
        pgsteal: table.of("pgsteal"),
        pgactivate: table.of("pgactivate"),
        pgdeactivate: table.of("pgdeactivate"),
        pglazyfree: table.of("pglazyfree"),
        pglazyfreed: table.of("pglazyfreed"),
        thp_fault_alloc: table.of("thp_fault_alloc"),
        thp_collapse_alloc: table.of("thp_collapse_alloc"),
        usage: files.number("memory.current", u64::MAX),
        usage_limit: files.number("memory.max", u64::MAX),
        swap_usage: files.number("memory.swap.current", u64::MAX),
        swap_limit: files.number("memory.swap.max", u64::MAX),
        max_usage: files.number("memory.peak", u64::MAX),
        swap_max_usage: files.number("memory.swap.peak", u64::MAX),
        psi: None,
    }
}

/// `8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0`.
fn io(line: &str) -> Option<wire::IoEntry> {
    let (major, minor, rest) = device(line)?;
    let of = |name: &str| {
        let value = rest.split(' ').find_map(|word| word.strip_prefix(name)?.strip_prefix('='));
        value.and_then(|n| n.parse().ok()).unwrap_or(0)
    };
    Some(wire::IoEntry { major, minor, rbytes: of("rbytes"), wbytes: of("wbytes"), rios: of("rios"), wios: of("wios") })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_are_found_in_the_files_and_what_is_missing_is_0() {
        let folder = std::env::temp_dir().join(format!("plimsoll-metrics-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("mkdir");
        let write = |file: &str, text: &str| std::fs::write(folder.join(file), text).expect("write");
        write("pids.current", "3\n");
        write("pids.max", "max\n");
        write("cpu.stat", "usage_usec 1500\nuser_usec 1000\nsystem_usec 500\n");
        write("memory.stat", "anon 4096\nworkingset_refault_anon 2\nworkingset_refault_file 3\n");
        write("io.stat", "8:16 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=0 dios=0\n254:0 \n");
        let seen = metrics(&folder);
        std::fs::remove_dir_all(&folder).expect("clean");
        let pids = seen.pids.expect("pids");
        assert_eq!((pids.current, pids.limit), (3, u64::MAX));
        let cpu = seen.cpu.expect("cpu");
        assert_eq!((cpu.usage_usec, cpu.user_usec, cpu.nr_periods), (1500, 1000, 0));
        let memory = seen.memory.expect("memory");
        assert_eq!((memory.anon, memory.workingset_refault, memory.usage_limit), (4096, 5, 0));
        let io = seen.io.expect("io").usage;
        assert_eq!((io[0].major, io[0].minor, io[0].rbytes, io[0].wios, io.len()), (8, 16, 1, 4, 2));
    }
}
