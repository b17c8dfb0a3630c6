//! A policy on one `AUDIT_ARCH`: the space of call numbers cut into intervals that share an outcome. Adjacent calls with the
//! same outcome become one interval, which is what keeps the search tree shallow.

use super::arch::{Arch, X32_BIT};
use super::multiplex;
use super::policy::{Condition, Policy, RET_KILL_THREAD};

/// What a call gets.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) enum Outcome<'a> {
    Always(u32),
    /// The first case whose conditions all hold decides, else the default.
    Tested {
        cases: Vec<Case<'a>>,
        wide: bool,
    },
}

#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Case<'a> {
    pub(super) conditions: std::borrow::Cow<'a, [Condition]>,
    pub(super) action: u32,
}

/// Calls from `start` up to the next interval's start.
pub(super) struct Interval<'a> {
    pub(super) start: u32,
    pub(super) outcome: Outcome<'a>,
}

/// One rule's effect on one call.
#[derive(Clone, Copy)]
struct Entry {
    number: u32,
    rule: u16,
    /// Set when the rule's call arrives through a multiplexer, as its first argument.
    through: Option<u32>,
}

/// Appends the intervals of `arch`, which begin at its first number, to those of a lower one with the same `AUDIT_ARCH`.
pub(super) fn cut<'a>(policy: &'a Policy, arch: Arch, intervals: &mut Vec<Interval<'a>>) {
    let base = if arch == Arch::X32 { X32_BIT } else { 0 };
    let (entries, last) = collect(policy, arch);
    let entries = by_number(entries, base);
    let mut next = base;
    for group in entries.chunk_by(|a, b| a.number == b.number) {
        let number = group[0].number;
        if number > next {
            push(intervals, next, Outcome::Always(policy.default));
        }
        push(intervals, number, outcome(policy, arch, group));
        next = number + 1;
    }
    if let Some(last) = last {
        if last >= next {
            push(intervals, next, Outcome::Always(policy.default));
        }
        push(intervals, last + 1, Outcome::Always(policy.beyond));
    } else {
        push(intervals, next, Outcome::Always(policy.default));
    }
}

/// A call marked as x32 where the profile has no x32: not this architecture, so the thread is killed as for any other. Number
/// -1 is what a tracer writes to skip a call, never a call.
pub(super) fn without_x32<'a>(policy: &Policy, intervals: &mut Vec<Interval<'a>>) {
    push(intervals, X32_BIT, Outcome::Always(RET_KILL_THREAD));
    push(intervals, u32::MAX, Outcome::Always(policy.default));
}

/// The effects of all rules on `arch`, and the highest call that the profile names, whatever it says of it.
fn collect(policy: &Policy, arch: Arch) -> (Vec<Entry>, Option<u32>) {
    let mut entries = Vec::new();
    let mut last = None;
    for (at, rule) in policy.rules.iter().enumerate() {
        // A profile has far fewer than 65,536 rules; what is beyond cannot fit the kernel's limit either.
        let Ok(at) = u16::try_from(at) else { break };
        for call in &rule.calls {
            let number = call.numbers.on(arch);
            last = last.max(number);
            // As runc does: a rule that says what the default says is as if absent, even beside other rules for the call.
            if rule.action == policy.default {
                continue;
            }
            entries.extend(number.map(|number| Entry { number, rule: at, through: None }));
            if arch.multiplexes() {
                entries.extend(call.through.map(|m| Entry { number: m.number, rule: at, through: Some(m.selector) }));
            }
        }
    }
    (entries, last)
}

/// Those of one number stay in the order of the rules. Numbers are small, so that counting them is far less work than comparing:
/// there are three hundred on each of three architectures, and a container waits.
fn by_number(mut entries: Vec<Entry>, base: u32) -> Vec<Entry> {
    const SMALL: usize = 1024;
    let slot = |entry: &Entry| (entry.number - base) as usize;
    if entries.len() > usize::from(u16::MAX) || entries.iter().any(|entry| slot(entry) >= SMALL) {
        entries.sort_by_key(|entry| entry.number);
        return entries;
    }
    let mut ends = [0_u16; SMALL];
    entries.iter().for_each(|entry| ends[slot(entry)] += 1);
    let mut sum = 0;
    for end in &mut ends {
        sum += *end;
        *end = sum;
    }
    let mut sorted = entries.clone();
    for entry in entries.iter().rev() {
        let end = &mut ends[slot(entry)];
        *end -= 1;
        sorted[usize::from(*end)] = *entry;
    }
    sorted
}

fn outcome<'a>(policy: &'a Policy, arch: Arch, group: &[Entry]) -> Outcome<'a> {
    let mut cases = Vec::new();
    for entry in group {
        let rule = &policy.rules[usize::from(entry.rule)];
        match entry.through {
            Some(selector) => cases.extend(multiplex::cases(rule, selector)),
            // An unconditional rule beats the conditional ones wherever it stands, as in libseccomp.
            None if rule.any.is_empty() => return Outcome::Always(rule.action),
            None => {
                cases.extend(rule.any.iter().map(|all| Case { conditions: all.as_slice().into(), action: rule.action }))
            }
        }
    }
    Outcome::Tested { cases, wide: arch.wide() }
}

fn push<'a>(intervals: &mut Vec<Interval<'a>>, start: u32, outcome: Outcome<'a>) {
    if intervals.last().is_none_or(|last| last.outcome != outcome) {
        intervals.push(Interval { start, outcome });
    }
}
