//! How a process is scheduled: `process.scheduler`, `ioPriority`, `execCPUAffinity`; `linux.memoryPolicy` and `personality`.

use super::number_list;
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{CpuAffinity, IoPriority, MemoryPolicy, Personality, Process, Scheduler};
use plimsoll_sys::sched::{Attributes, CPUS, CpuSet};
use serde::{Deserialize, Serialize};

/// Of one process, `create`'s or `exec`'s. None: as inherited.
#[derive(Clone, Debug, Default)]
pub(crate) struct Scheduling {
    pub attributes: Option<Attributes>,
    /// Class and level.
    pub io_priority: Option<(u8, u8)>,
    /// Of an exec: while it is not yet in the container's cgroup.
    pub initial: Option<CpuSet>,
    /// Of an exec: from then on. None: every CPU of the cgroup.
    pub last: Option<CpuSet>,
}

/// What every process of a container has, exec'd ones too.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Domain {
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub personality: Option<u32>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub memory: Option<MemoryPlan>,
}

/// Mode with its flags, and the nodes as a bit mask.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct MemoryPlan {
    pub mode: u32,
    pub nodes: Vec<u64>,
}

/// linux/sched.h. `SCHED_ISO` is reserved: the kernel refuses it.
const POLICIES: [(&str, u32); 7] = [
    ("SCHED_OTHER", 0),
    ("SCHED_FIFO", 1),
    ("SCHED_RR", 2),
    ("SCHED_BATCH", 3),
    ("SCHED_ISO", 4),
    ("SCHED_IDLE", 5),
    ("SCHED_DEADLINE", 6),
];

const SCHEDULER_FLAGS: [(&str, u64); 7] = [
    ("SCHED_FLAG_RESET_ON_FORK", 0x01),
    ("SCHED_FLAG_RECLAIM", 0x02),
    ("SCHED_FLAG_DL_OVERRUN", 0x04),
    ("SCHED_FLAG_KEEP_POLICY", 0x08),
    ("SCHED_FLAG_KEEP_PARAMS", 0x10),
    ("SCHED_FLAG_UTIL_CLAMP_MIN", 0x20),
    ("SCHED_FLAG_UTIL_CLAMP_MAX", 0x40),
];

const IO_CLASSES: [(&str, u8); 3] = [("IOPRIO_CLASS_RT", 1), ("IOPRIO_CLASS_BE", 2), ("IOPRIO_CLASS_IDLE", 3)];

/// linux/mempolicy.h, in the order of the numbers.
pub(crate) const MEMORY_MODES: [&str; 7] = [
    "MPOL_DEFAULT",
    "MPOL_PREFERRED",
    "MPOL_BIND",
    "MPOL_INTERLEAVE",
    "MPOL_LOCAL",
    "MPOL_PREFERRED_MANY",
    "MPOL_WEIGHTED_INTERLEAVE",
];

const MEMORY_FLAGS: [(&str, u32); 3] =
    [("MPOL_F_NUMA_BALANCING", 1 << 13), ("MPOL_F_RELATIVE_NODES", 1 << 14), ("MPOL_F_STATIC_NODES", 1 << 15)];

/// For `features`.
pub(crate) fn memory_flags() -> impl Iterator<Item = &'static str> {
    MEMORY_FLAGS.iter().map(|(name, _)| *name)
}

/// `CONFIG_NODES_SHIFT` is at most 10.
const NODES: usize = 1024;

impl Scheduling {
    pub(super) fn new(process: &Process, pointer: &str) -> Result<Self, Fault> {
        let affinity = process.exec_cpu_affinity.clone().unwrap_or_default();
        let CpuAffinity { initial, last } = affinity;
        let at = format!("{pointer}/execCPUAffinity");
        Ok(Self {
            attributes: attributes(process.scheduler.as_ref(), &format!("{pointer}/scheduler"))?,
            io_priority: io_priority(process.io_priority.as_ref(), &format!("{pointer}/ioPriority"))?,
            initial: cpus(initial.as_deref(), &format!("{at}/initial"))?,
            last: cpus(last.as_deref(), &format!("{at}/final"))?,
        })
    }
}

impl Domain {
    pub(super) fn new(personality: Option<&Personality>, memory: Option<&MemoryPolicy>) -> Result<Self, Fault> {
        Ok(Self { personality: personality.map(domain).transpose()?, memory: memory.map(memory_plan).transpose()? })
    }

    pub(crate) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

fn known<T: Copy>(table: &[(&str, T)], name: &str, pointer: &str, what: &str) -> Result<T, Fault> {
    let found = table.iter().find(|(known, _)| *known == name).map(|(_, number)| *number);
    found.ok_or_else(|| bad_config(pointer, format!("unknown {what} {name:?}")))
}

/// The rules between the fields are those of sched_setattr(2).
fn attributes(given: Option<&Scheduler>, pointer: &str) -> Result<Option<Attributes>, Fault> {
    let Some(given) = given else { return Ok(None) };
    let policy = known(&POLICIES, &given.policy, &format!("{pointer}/policy"), "scheduling policy")?;
    let mut flags = 0;
    for (index, name) in given.flags.iter().enumerate() {
        flags |= known(&SCHEDULER_FLAGS, name, &format!("{pointer}/flags/{index}"), "scheduler flag")?;
    }
    let nice = given.nice.unwrap_or(0);
    if !(-20..=19).contains(&nice) {
        return Err(bad_config(&format!("{pointer}/nice"), format!("{nice} is not within -20..19")));
    }
    let priority = given.priority.unwrap_or(0);
    let real_time = matches!(given.policy.as_str(), "SCHED_FIFO" | "SCHED_RR");
    let at = format!("{pointer}/priority");
    let priority = u32::try_from(priority).map_err(|_| bad_config(&at, format!("{priority} is below 0")))?;
    if priority != 0 && !real_time {
        return Err(bad_config(&at, format!("{} has no priority: only SCHED_FIFO and SCHED_RR have", given.policy)));
    }
    let times = [("runtime", given.runtime), ("deadline", given.deadline), ("period", given.period)];
    if let Some((name, _)) = times.iter().find(|(_, time)| time.unwrap_or(0) != 0 && given.policy != "SCHED_DEADLINE") {
        return Err(bad_config(
            &format!("{pointer}/{name}"),
            format!("{} has none: only SCHED_DEADLINE has", given.policy),
        ));
    }
    let [runtime, deadline, period] = times.map(|(_, time)| time.unwrap_or(0));
    Ok(Some(Attributes { policy, flags, nice, priority, runtime, deadline, period }))
}

fn io_priority(given: Option<&IoPriority>, pointer: &str) -> Result<Option<(u8, u8)>, Fault> {
    let Some(given) = given else { return Ok(None) };
    let class = known(&IO_CLASSES, &given.class, &format!("{pointer}/class"), "IO class")?;
    let level = u8::try_from(given.priority).ok().filter(|level| *level <= 7);
    let level = level
        .ok_or_else(|| bad_config(&format!("{pointer}/priority"), format!("{} is not within 0..7", given.priority)))?;
    Ok(Some((class, level)))
}

fn cpus(list: Option<&str>, pointer: &str) -> Result<Option<CpuSet>, Fault> {
    let Some(list) = list.filter(|list| !list.is_empty()) else { return Ok(None) };
    let numbers = number_list::parse(list, CPUS).map_err(|problem| bad_config(pointer, problem))?;
    let mut set = CpuSet::new();
    if numbers.into_iter().all(|cpu| set.insert(cpu)) { Ok(Some(set)) } else { Err(bad_config(pointer, "too large")) }
}

/// linux/personality.h. Flags the specification has none of; runc ignores what is given, and so does this, with a warning.
fn domain(given: &Personality) -> Result<u32, Fault> {
    known(&[("LINUX", 0), ("LINUX32", 8)], &given.domain, "/linux/personality/domain", "execution domain")
}

fn memory_plan(given: &MemoryPolicy) -> Result<MemoryPlan, Fault> {
    let mode = MEMORY_MODES.iter().position(|known| *known == given.mode).and_then(|at| u32::try_from(at).ok());
    let at = "/linux/memoryPolicy";
    let mode =
        mode.ok_or_else(|| bad_config(&format!("{at}/mode"), format!("unknown memory policy {:?}", given.mode)))?;
    let mut flags = 0;
    for (index, name) in given.flags.iter().enumerate() {
        flags |= known(&MEMORY_FLAGS, name, &format!("{at}/flags/{index}"), "memory policy flag")?;
    }
    let mut nodes = Vec::new();
    if !given.nodes.is_empty() {
        let list = number_list::parse(&given.nodes, NODES);
        for node in list.map_err(|problem| bad_config(&format!("{at}/nodes"), problem))? {
            if nodes.len() <= node / 64 {
                nodes.resize(node / 64 + 1, 0);
            }
            nodes[node / 64] |= 1u64 << (node % 64);
        }
    }
    Ok(MemoryPlan { mode: mode | flags, nodes })
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pointer(result: Result<Scheduling, Fault>) -> Option<String> {
        result.expect_err("refused").details().pointer.clone()
    }

    fn with(scheduler: Scheduler) -> Result<Scheduling, Fault> {
        Scheduling::new(&Process { scheduler: Some(scheduler), ..Process::default() }, "/process")
    }

    fn policy(name: &str) -> Scheduler {
        Scheduler { policy: name.into(), ..Scheduler::default() }
    }

    #[test]
    fn a_deadline_has_its_times_and_flags() {
        let flags = vec!["SCHED_FLAG_RESET_ON_FORK".to_owned(), "SCHED_FLAG_DL_OVERRUN".to_owned()];
        let times =
            Scheduler { runtime: Some(1), deadline: Some(2), period: Some(3), flags, ..policy("SCHED_DEADLINE") };
        let got = with(times).expect("a plan").attributes.expect("attributes");
        assert_eq!((got.policy, got.flags, got.runtime, got.deadline, got.period), (6, 5, 1, 2, 3));
    }

    #[test]
    fn fields_that_the_policy_has_not_are_refused() {
        for (scheduler, at) in [
            (policy("SCHED_NONSENSE"), "policy"),
            (policy(""), "policy"),
            (Scheduler { nice: Some(20), ..policy("SCHED_OTHER") }, "nice"),
            (Scheduler { priority: Some(1), ..policy("SCHED_BATCH") }, "priority"),
            (Scheduler { priority: Some(-1), ..policy("SCHED_FIFO") }, "priority"),
            (Scheduler { deadline: Some(1), ..policy("SCHED_IDLE") }, "deadline"),
            (Scheduler { flags: vec!["X".into()], ..policy("SCHED_OTHER") }, "flags/0"),
        ] {
            assert_eq!(pointer(with(scheduler)), Some(format!("/process/scheduler/{at}")));
        }
    }

    #[test]
    fn io_priorities_and_affinities() {
        let io = |class: &str, priority| IoPriority { class: class.into(), priority };
        let of = |io| Scheduling::new(&Process { io_priority: Some(io), ..Process::default() }, "/process");
        assert_eq!(of(io("IOPRIO_CLASS_BE", 7)).expect("a plan").io_priority, Some((2, 7)));
        assert_eq!(pointer(of(io("IOPRIO_CLASS_BE", 8))).as_deref(), Some("/process/ioPriority/priority"));
        assert_eq!(pointer(of(io("BE", 0))).as_deref(), Some("/process/ioPriority/class"));
        let affinity = |last: &str| CpuAffinity { initial: None, last: Some(last.into()) };
        let of = |a| Scheduling::new(&Process { exec_cpu_affinity: Some(a), ..Process::default() }, "/process");
        assert!(of(affinity("0-1")).expect("a plan").last.is_some());
        assert!(of(affinity("")).expect("a plan").last.is_none());
        assert_eq!(pointer(of(affinity("1-0"))).as_deref(), Some("/process/execCPUAffinity/final"));
    }

    #[test]
    fn memory_policies() {
        let given = MemoryPolicy {
            mode: "MPOL_INTERLEAVE".into(),
            nodes: "0,64".into(),
            flags: vec!["MPOL_F_STATIC_NODES".into()],
        };
        assert_eq!(memory_plan(&given).expect("a plan"), MemoryPlan { mode: 3 | 1 << 15, nodes: vec![1, 1] });
        let bad = MemoryPolicy { mode: "MPOL_X".into(), ..MemoryPolicy::default() };
        assert_eq!(
            memory_plan(&bad).expect_err("refused").details().pointer.as_deref(),
            Some("/linux/memoryPolicy/mode")
        );
    }
}
