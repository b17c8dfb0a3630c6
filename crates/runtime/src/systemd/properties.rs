//! Limits as the properties of a unit, so that systemd writes the same values whenever it writes them anew (daemon-reload).
//! Device rules are not among them: systemd would derive a list of its own (and forget what a hook added); with its policy at
//! `auto` the container's own program alone decides.

use super::wire::Value;
use crate::fault::bad_config;
use crate::plan::{swap_alone, weight};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{Cpu, Memory, Resources};
use std::collections::BTreeMap;

/// Name and value.
pub(super) type Property = (String, Value);

/// No limit, in systemd's words.
const INFINITY: u64 = u64::MAX;
/// The kernel's own period (cgroup-v2.rst, "cpu.max").
const PERIOD: u64 = 100_000;
/// The first systemd that knows that a weight of 0 means `cpu.idle`.
const KNOWS_IDLE: u32 = 252;

/// `version`: systemd's, which knows more properties the newer it is. systemd's CPU quota is in whole percents: `cpu.max` is
/// written by us all the same, as exactly as it was asked for.
pub(super) fn limits(resources: &Resources, version: u32) -> Result<Vec<Property>, Fault> {
    let mut out = Vec::new();
    if let Some(memory) = &resources.memory {
        self::memory(memory, &mut out)?;
    }
    if let Some(cpu) = &resources.cpu {
        self::cpu(cpu, version, &mut out)?;
    }
    if let Some(limit) = resources.pids.and_then(|p| p.limit) {
        let tasks = u64::try_from(limit).map_or(INFINITY, |limit| limit.max(1));
        out.push(("TasksMax".to_owned(), Value::U64(tasks)));
    }
    unified(&resources.unified, version, &mut out)?;
    Ok(out)
}

fn bytes(value: i64) -> Value {
    Value::U64(u64::try_from(value).unwrap_or(INFINITY))
}

fn memory(memory: &Memory, out: &mut Vec<Property>) -> Result<(), Fault> {
    let set = |value: Option<i64>| value.filter(|v| *v != 0).map(bytes);
    let properties = [
        ("MemoryMax", set(memory.limit)),
        ("MemoryLow", set(memory.reservation)),
        ("MemorySwapMax", swap_alone(memory)?.map(bytes)),
    ];
    out.extend(properties.into_iter().filter_map(|(name, value)| Some((name.to_owned(), value?))));
    Ok(())
}

fn cpu(cpu: &Cpu, version: u32, out: &mut Vec<Property>) -> Result<(), Fault> {
    let idle = cpu.idle == Some(1) && version >= KNOWS_IDLE;
    if idle {
        out.push(("CPUWeight".to_owned(), Value::U64(0)));
    } else if let Some(shares) = cpu.shares.filter(|s| *s != 0) {
        out.push(("CPUWeight".to_owned(), Value::U64(weight(shares))));
    }
    let (quota, period) = (cpu.quota.filter(|q| *q != 0), cpu.period.filter(|p| *p != 0));
    if quota.is_some() || period.is_some() {
        bandwidth(quota, period, out);
    }
    for (list, name, field) in [(&cpu.cpus, "AllowedCPUs", "cpus"), (&cpu.mems, "AllowedMemoryNodes", "mems")] {
        if let Some(list) = list.as_deref().filter(|l| !l.is_empty()) {
            let mask = mask(list).map_err(|why| bad_config(&format!("/linux/resources/cpu/{field}"), why))?;
            out.push((name.to_owned(), mask));
        }
    }
    Ok(())
}

/// systemd keeps the quota as CPU time per second, in whole percents: rounded up.
fn bandwidth(quota: Option<i64>, period: Option<u64>, out: &mut Vec<Property>) {
    let per_second = match quota.and_then(|q| u64::try_from(q).ok()) {
        None => INFINITY,
        Some(quota) => {
            let exact = u128::from(quota) * 1_000_000 / u128::from(period.unwrap_or(PERIOD));
            u64::try_from(exact.div_ceil(10_000) * 10_000).unwrap_or(INFINITY)
        }
    };
    if let Some(period) = period {
        out.push(("CPUQuotaPeriodUSec".to_owned(), Value::U64(period)));
    }
    out.push(("CPUQuotaPerSecUSec".to_owned(), Value::U64(per_second)));
}

/// A list such as `0-2,7` as a bit mask, first CPU in the lowest bit of the first byte.
fn mask(list: &str) -> Result<Value, String> {
    // More CPUs or nodes than any kernel is built for.
    const MOST: usize = 8192;
    let mut bits = Vec::new();
    for range in list.split(',').map(str::trim).filter(|r| !r.is_empty()) {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        let number = |text: &str| text.trim().parse::<usize>().ok().filter(|n| *n < MOST);
        let (Some(first), Some(last)) = (number(first), number(last)) else {
            return Err(format!("{range:?} is no range of numbers below {MOST}"));
        };
        if first > last {
            return Err(format!("{range:?} ends before it begins"));
        }
        for bit in first..=last {
            if bits.len() <= bit / 8 {
                bits.resize(bit / 8 + 1, 0u8);
            }
            bits[bit / 8] |= 1 << (bit % 8);
        }
    }
    if bits.is_empty() {
        return Err(format!("{list:?} names nothing"));
    }
    Ok(Value::Array("y".to_owned(), bits.into_iter().map(Value::Byte).collect()))
}

/// The unified files that systemd has a property for; the others are ours alone.
fn unified(unified: &BTreeMap<String, String>, version: u32, out: &mut Vec<Property>) -> Result<(), Fault> {
    for (key, text) in unified {
        let text = text.trim();
        let refuse =
            || bad_config(&format!("/linux/resources/unified/{key}"), format!("{text:?} is no value of {key}"));
        let amount = || if text == "max" { Some(INFINITY) } else { text.parse().ok() };
        let name = match key.as_str() {
            "memory.high" => "MemoryHigh",
            "memory.low" => "MemoryLow",
            "memory.min" => "MemoryMin",
            "memory.max" => "MemoryMax",
            "memory.swap.max" => "MemorySwapMax",
            "pids.max" => "TasksMax",
            "cpu.weight" => "CPUWeight",
            "cpuset.cpus" => "AllowedCPUs",
            "cpuset.mems" => "AllowedMemoryNodes",
            "cpu.idle" if text == "1" && version >= KNOWS_IDLE => {
                out.push(("CPUWeight".to_owned(), Value::U64(0)));
                continue;
            }
            "cpu.max" => {
                let mut words = text.split_whitespace();
                let (quota, period) = (words.next().ok_or_else(refuse)?, words.next().map(str::parse).transpose());
                let quota = if quota == "max" { None } else { Some(quota.parse().map_err(|_| refuse())?) };
                bandwidth(quota, period.map_err(|_| refuse())?, out);
                continue;
            }
            _ => continue,
        };
        let value = match name {
            "AllowedCPUs" | "AllowedMemoryNodes" => mask(text).map_err(|_| refuse())?,
            // systemd takes no 0.
            "TasksMax" => Value::U64(amount().ok_or_else(refuse)?.max(1)),
            _ => Value::U64(amount().ok_or_else(refuse)?),
        };
        out.push((name.to_owned(), value));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_spec::runtime::Pids;

    fn of(resources: &Resources) -> BTreeMap<String, Value> {
        limits(resources, 252).expect("properties").into_iter().collect()
    }

    #[test]
    fn limits_become_properties() {
        let got = of(&Resources {
            memory: Some(Memory { limit: Some(100), swap: Some(150), ..Memory::default() }),
            cpu: Some(Cpu { quota: Some(12_345), period: Some(100_000), cpus: Some("0,9".into()), ..Cpu::default() }),
            pids: Some(Pids { limit: Some(0) }),
            unified: BTreeMap::from([("memory.high".into(), "max".into()), ("io.max".into(), "8:0 rbps=1".into())]),
            ..Resources::default()
        });
        assert_eq!(got["MemoryMax"], Value::U64(100));
        assert_eq!(got["MemorySwapMax"], Value::U64(50));
        assert_eq!(got["MemoryHigh"], Value::U64(u64::MAX));
        assert_eq!(got["CPUQuotaPerSecUSec"], Value::U64(130_000), "whole percents, rounded up");
        assert_eq!(got["AllowedCPUs"], Value::Array("y".into(), vec![Value::Byte(1), Value::Byte(2)]));
        assert_eq!(got["TasksMax"], Value::U64(1));
        assert_eq!(got.len(), 7);
    }

    #[test]
    fn lists_that_name_nothing_are_refused() {
        for bad in ["", "a", "3-1", "99999", "1-"] {
            assert!(mask(bad).is_err(), "{bad}");
        }
    }
}
