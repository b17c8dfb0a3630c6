//! `update`: new limits for a container that is there.

use crate::Root;
use crate::fault::At;
use crate::parent::limits::{Before, is_v2, write_all};
use crate::plan::{Setting, check_resources, v1_settings, v2_settings};
use crate::record::Record;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::{BlockIo, Cpu, Memory, Resources, Status, ThrottleDevice, WeightDevice};
use plimsoll_sys::cgroup::{read_file, write_file};
use std::path::Path;

/// `linux.resources` from its JSON: for callers that have it in a file.
///
/// # Errors
/// `InvalidArgument` with the JSON pointer.
pub fn parse_resources(text: &[u8]) -> Result<Resources, Fault> {
    Resources::parse(text).map_err(|error| {
        Fault::invalid("parse", format!("resources: {error}")).detail(|d| d.pointer = Some(error.pointer.clone()))
    })
}

/// Sets the limits that `new` names and leaves the others as they are. Device rules are left alone: what a hook allowed
/// besides would be lost. When a limit cannot be set, those that were are put back. `schemata` are lines for the container's
/// resctrl group (`L3:0=f`), which must be there.
pub fn update(root: &Root, id: &str, new: Resources, schemata: &[&str]) -> Result<(), Fault> {
    let _lock = Record::lock(root, id)?;
    let (mut record, folder) = Record::load(root, id)?;
    let done = allot(&record, schemata).and_then(|()| steps(&mut record, &folder, new));
    done.map_err(|fault| fault.in_container(id))
}

fn allot(record: &Record, schemata: &[&str]) -> Result<(), Fault> {
    if schemata.is_empty() {
        return Ok(());
    }
    let Some(rdt) = &record.rdt else {
        let what = "updating a non-existent Intel RDT configuration is not supported";
        return Err(Fault::new(Layer::Caller, "update", what).kind(Kind::FailedPrecondition));
    };
    for line in schemata.iter().flat_map(|text| text.lines()) {
        let what = || format!("cannot write {line:?} to the container's resctrl group");
        let path = rdt.group.join("schemata");
        write_file(&rdt.group, "schemata", &format!("{line}\n")).at("update", "write", path, what)?;
    }
    Ok(())
}

fn steps(record: &mut Record, folder: &Path, new: Resources) -> Result<(), Fault> {
    if record.status(folder) == Status::Stopped {
        let fault = Fault::new(Layer::OciRuntime, "update", "container not running");
        return Err(fault.kind(Kind::FailedPrecondition));
    }
    let old = match record.resources.take() {
        Some(resources) => resources,
        None => Record::spec(folder)?.linux.and_then(|linux| linux.resources).unwrap_or_default(),
    };
    let wanted = check_resources(completed(new, &old))?;
    let settings = settings(record, &wanted)?;
    fits(record, wanted.memory.as_ref())?;
    let before = Before::read(&record.cgroups, &settings);
    write_all(&record.cgroups, &settings).map_err(|fault| before.put_back(fault))?;
    if let Some(unit) = &record.unit {
        unit.update(&wanted).map_err(|fault| before.put_back(fault))?;
        // systemd wrote what it makes of the properties: a CPU quota in whole percents.
        write_all(&record.cgroups, &settings)?;
    }
    record.resources = Some(merged(old, wanted));
    record.save(folder).map_err(|fault| before.put_back(fault))
}

fn settings(record: &Record, resources: &Resources) -> Result<Vec<Setting>, Fault> {
    if is_v2(&record.cgroups) { v2_settings(resources) } else { v1_settings(resources) }
}

/// A quota means nothing without its period, nor does a limit on memory and swap without the one on memory: what is not named
/// is as it was.
fn completed(mut new: Resources, old: &Resources) -> Resources {
    if let (Some(cpu), Some(was)) = (&mut new.cpu, &old.cpu) {
        let named =
            |quota: Option<i64>, period: Option<u64>| (quota.is_some_and(|q| q != 0), period.is_some_and(|p| p != 0));
        match named(cpu.quota, cpu.period) {
            (true, false) => cpu.period = was.period,
            (false, true) => cpu.quota = was.quota,
            _ => {}
        }
    }
    if let (Some(memory), Some(was)) = (&mut new.memory, &old.memory) {
        match (memory.limit.is_some(), memory.swap.is_some()) {
            (false, true) => memory.limit = was.limit,
            // Without a limit on memory there is none on both, unless it is named.
            (true, false) if memory.limit != Some(-1) => memory.swap = was.swap,
            _ => {}
        }
    }
    new
}

/// `checkBeforeUpdate`: on v2 a limit below the usage kills instead of failing, as it does on v1.
fn fits(record: &Record, memory: Option<&Memory>) -> Result<(), Fault> {
    let Some(memory) = memory.filter(|memory| memory.check_before_update == Some(true)) else { return Ok(()) };
    let Some((_, folder)) = record.cgroups.first().filter(|_| is_v2(&record.cgroups)) else { return Ok(()) };
    let usage = read_file(folder, "memory.current").at("update", "read", folder.join("memory.current"), || {
        "cannot read the memory usage that the limit is to be checked against".into()
    })?;
    let usage: i64 = usage.parse().unwrap_or(i64::MAX);
    let limits = [(memory.swap, "memory+swap limit", "swap"), (memory.limit, "memory limit", "limit")];
    for (limit, name, field) in limits {
        if let Some(limit) = limit.filter(|limit| *limit > 0 && *limit <= usage) {
            let what = format!("rejecting {name} {limit} <= usage {usage}");
            let fault = Fault::new(Layer::Caller, "update", what).kind(Kind::FailedPrecondition);
            return Err(fault.detail(|d| d.pointer = Some(format!("/linux/resources/memory/{field}"))));
        }
    }
    Ok(())
}

/// What is kept: the old limits with the new ones over them.
fn merged(old: Resources, new: Resources) -> Resources {
    let mut unified = old.unified;
    unified.extend(new.unified);
    let mut rdma = old.rdma;
    rdma.extend(new.rdma);
    let mut hugepage_limits = old.hugepage_limits;
    for limit in new.hugepage_limits {
        hugepage_limits.retain(|was| was.page_size != limit.page_size);
        hugepage_limits.push(limit);
    }
    Resources {
        devices: old.devices,
        memory: either(old.memory, new.memory, memory),
        cpu: either(old.cpu, new.cpu, cpu),
        pids: new.pids.filter(|pids| pids.limit.is_some()).or(old.pids),
        block_io: either(old.block_io, new.block_io, block_io),
        hugepage_limits,
        network: new.network.or(old.network),
        rdma,
        unified,
    }
}

fn either<T>(old: Option<T>, new: Option<T>, both: impl Fn(T, T) -> T) -> Option<T> {
    match (old, new) {
        (Some(old), Some(new)) => Some(both(old, new)),
        (old, new) => new.or(old),
    }
}

fn memory(old: Memory, new: Memory) -> Memory {
    Memory {
        limit: new.limit.or(old.limit),
        reservation: new.reservation.or(old.reservation),
        swap: new.swap.or(old.swap),
        kernel: new.kernel.or(old.kernel),
        kernel_tcp: new.kernel_tcp.or(old.kernel_tcp),
        swappiness: new.swappiness.or(old.swappiness),
        disable_oom_killer: new.disable_oom_killer.or(old.disable_oom_killer),
        use_hierarchy: new.use_hierarchy.or(old.use_hierarchy),
        check_before_update: new.check_before_update.or(old.check_before_update),
    }
}

fn cpu(old: Cpu, new: Cpu) -> Cpu {
    let named = |list: Option<String>| list.filter(|l| !l.is_empty());
    Cpu {
        shares: new.shares.filter(|s| *s != 0).or(old.shares),
        quota: new.quota.filter(|q| *q != 0).or(old.quota),
        burst: new.burst.or(old.burst),
        period: new.period.filter(|p| *p != 0).or(old.period),
        realtime_runtime: new.realtime_runtime.or(old.realtime_runtime),
        realtime_period: new.realtime_period.or(old.realtime_period),
        cpus: named(new.cpus).or(old.cpus),
        mems: named(new.mems).or(old.mems),
        idle: new.idle.or(old.idle),
    }
}

fn block_io(old: BlockIo, new: BlockIo) -> BlockIo {
    BlockIo {
        weight: new.weight.or(old.weight),
        leaf_weight: new.leaf_weight.or(old.leaf_weight),
        weight_device: weights(old.weight_device, new.weight_device),
        throttle_read_bps_device: rates(old.throttle_read_bps_device, new.throttle_read_bps_device),
        throttle_write_bps_device: rates(old.throttle_write_bps_device, new.throttle_write_bps_device),
        throttle_read_iops_device: rates(old.throttle_read_iops_device, new.throttle_read_iops_device),
        throttle_write_iops_device: rates(old.throttle_write_iops_device, new.throttle_write_iops_device),
    }
}

/// A device that was there gets its new values.
fn weights(mut old: Vec<WeightDevice>, new: Vec<WeightDevice>) -> Vec<WeightDevice> {
    for device in new {
        match old.iter_mut().rev().find(|was| (was.major, was.minor) == (device.major, device.minor)) {
            Some(was) => {
                was.weight = device.weight.or(was.weight);
                was.leaf_weight = device.leaf_weight.or(was.leaf_weight);
            }
            None => old.push(device),
        }
    }
    old
}

fn rates(mut old: Vec<ThrottleDevice>, new: Vec<ThrottleDevice>) -> Vec<ThrottleDevice> {
    for device in new {
        match old.iter_mut().rev().find(|was| (was.major, was.minor) == (device.major, device.minor)) {
            Some(was) => was.rate = device.rate,
            None => old.push(device),
        }
    }
    old
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pairs_are_completed_with_what_was() {
        let old = Resources {
            cpu: Some(Cpu { quota: Some(50), period: Some(100), ..Cpu::default() }),
            memory: Some(Memory { limit: Some(1000), swap: Some(2000), ..Memory::default() }),
            ..Resources::default()
        };
        let new = Resources {
            cpu: Some(Cpu { quota: Some(70), ..Cpu::default() }),
            memory: Some(Memory { limit: Some(1500), ..Memory::default() }),
            ..Resources::default()
        };
        let got = completed(new, &old);
        assert_eq!(got.cpu.as_ref().and_then(|c| c.period), Some(100));
        assert_eq!(got.memory.as_ref().and_then(|m| m.swap), Some(2000));
        let unlimited = Memory { limit: Some(-1), ..Memory::default() };
        let got = completed(Resources { memory: Some(unlimited), ..Resources::default() }, &old);
        assert_eq!(got.memory.and_then(|m| m.swap), None);
    }

    #[test]
    fn devices_get_new_rates_or_are_added() {
        let device = |minor, rate| ThrottleDevice { major: 8, minor, rate };
        let got = rates(vec![device(0, 1), device(1, 2)], vec![device(1, 5), device(2, 6)]);
        assert_eq!(got, [device(0, 1), device(1, 5), device(2, 6)]);
    }
}
