//! Scheduling, memory policy and execution domain, set while the rights to do so are still there.

use crate::fault::Os;
use crate::plan::{Domain, Scheduling};
use plimsoll_fault::{Fault, Layer};
use plimsoll_sys::{numa, process, sched};
use rustix::io::Errno;

/// The CPUs, once the process is in its cgroup: those of `final`, else all of the cgroup's cpuset, not the few that the runtime
/// may have been started with.
pub(super) fn affinity(scheduling: &Scheduling) -> Result<(), Fault> {
    match &scheduling.last {
        None => match sched::reset_affinity() {
            // What an outer sandbox forbids stays as it was inherited.
            Ok(()) | Err(_) => Ok(()),
        },
        Some(cpus) => sched::set_affinity(cpus)
            .map_err(|error| refused("/process/execCPUAffinity/final", "sched_setaffinity", error)),
    }
}

pub(super) fn apply(scheduling: &Scheduling, domain: &Domain) -> Result<(), Fault> {
    if let Some(attributes) = &scheduling.attributes {
        sched::set_attributes(attributes).map_err(|error| {
            let fault = refused("/process/scheduler", "sched_setattr", error);
            match error {
                Errno::PERM => fault.hint("a real-time policy or a lower nice value needs CAP_SYS_NICE, on cgroup v1 a group with cpu.rt_runtime_us; a deadline needs all CPUs"),
                Errno::BUSY => fault.hint("no bandwidth is left for this deadline"),
                Errno::INVAL => fault.hint("the kernel does not take these values together: see sched_setattr(2)"),
                _ => fault,
            }
        })?;
    }
    if let Some((class, level)) = scheduling.io_priority {
        sched::set_io_priority(class, level).map_err(|error| refused("/process/ioPriority", "ioprio_set", error))?;
    }
    if let Some(memory) = &domain.memory {
        numa::set_policy(memory.mode, &memory.nodes).map_err(|error| {
            let fault = refused("/linux/memoryPolicy", "set_mempolicy", error);
            match error {
                Errno::NOSYS => fault.hint("this kernel has no NUMA support"),
                Errno::INVAL => fault.hint("the kernel has none of these nodes, or not this mode with these flags"),
                _ => fault,
            }
        })?;
    }
    if let Some(personality) = domain.personality {
        process::set_personality(personality).map_err(|error| refused("/linux/personality", "personality", error))?;
    }
    Ok(())
}

fn refused(pointer: &str, call: &str, error: Errno) -> Fault {
    Fault::new(Layer::OciRuntime, "identity", format!("config.json: {pointer}: cannot be set"))
        .os(call, "", &error.into())
        .detail(|d| d.pointer = Some(pointer.to_owned()))
}
