//! Compiles `linux.seccomp` to classic BPF. Pure: profile in, program out; `plimsoll_sys::seccomp::load` loads it.
//!
//! Per architecture the filter is a binary search over intervals of call numbers. The kernel runs a new filter once for every
//! call number to learn which ones it always allows, so what counts is the depth, not the length.

mod arch;
mod assembler;
mod condition;
mod error;
mod interpret;
mod intervals;
mod multiplex;
mod policy;
mod table;

pub use arch::Arch;
pub use error::{Cause, Refusal};
pub use interpret::{Data, Malformed, evaluate};
pub use policy::{ACTIONS, FLAGS, OPERATORS, supported_flags};

use assembler::{Assembler, Compare, Label};
use intervals::{Interval, Outcome};
use plimsoll_spec::runtime::seccomp::Seccomp;
use plimsoll_sys::seccomp::{Flags, Instruction};
use policy::{Policy, RET_KILL_THREAD};

/// `BPF_MAXINSNS`.
const LIMIT: usize = 4096;
/// Offsets in `seccomp_data`.
const NUMBER: u32 = 0;
const ARCH: u32 = 4;

/// A filter ready to be loaded.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Filter {
    pub program: Vec<Instruction>,
    pub flags: Flags,
}

impl Filter {
    /// Whether a native call goes through to the kernel, its arguments being what the filter does not ask for.
    pub(crate) fn lets(&self, call: &str) -> bool {
        let Some(arch) = Arch::native() else { return false };
        let Some(number) = table::find(call).and_then(|numbers| numbers.on(arch)) else { return false };
        let data = Data { number, arch: arch.audit(), ..Data::default() };
        evaluate(&self.program, &data).is_ok_and(policy::goes_through)
    }
}

/// For a kernel of architecture `native`, which is always part of the filter, as with libseccomp.
pub fn compile(profile: &Seccomp, native: Arch) -> Result<Filter, Refusal> {
    let policy = policy::read(profile, native)?;
    let mut asm = Assembler::default();
    let mut targets = Vec::with_capacity(policy.arches.len());
    // Written back to front, so the native architecture ends up nearest to the dispatch.
    for arch in policy.arches.iter().rev().filter(|arch| **arch != Arch::X32) {
        let root = tree(&mut asm, &sections(&policy, *arch), policy.default);
        asm.go(root);
        targets.push((arch.audit(), asm.load(NUMBER)));
    }
    // Any other architecture: its numbers mean other calls (libseccomp's "bad arch" action).
    let mut next = asm.ret(RET_KILL_THREAD);
    for (audit, begin) in targets {
        next = asm.branch(Compare::Equal, audit, begin, next);
    }
    asm.go(next);
    asm.load(ARCH);
    let program = asm.finish();
    if program.len() > LIMIT {
        let cause = Cause::TooLong { instructions: program.len(), limit: LIMIT };
        return Err(Refusal::new("", cause));
    }
    Ok(Filter { program, flags: policy.flags })
}

/// The call numbers of one `AUDIT_ARCH`, from 0 on. Never empty.
fn sections<'a>(policy: &'a Policy, arch: Arch) -> Vec<Interval<'a>> {
    let mut intervals = Vec::new();
    intervals::cut(policy, arch, &mut intervals);
    if arch == Arch::X86_64 {
        if policy.arches.contains(&Arch::X32) {
            intervals::cut(policy, Arch::X32, &mut intervals);
        } else {
            intervals::without_x32(policy, &mut intervals);
        }
    }
    intervals
}

/// A search for the accumulator among `intervals`, of which the first begins at or below it.
fn tree(asm: &mut Assembler, intervals: &[Interval<'_>], default: u32) -> Label {
    if let [one] = intervals {
        return leaf(asm, &one.outcome, default);
    }
    let (below, above) = intervals.split_at(intervals.len() / 2);
    let right = tree(asm, above, default);
    let left = tree(asm, below, default);
    asm.branch(Compare::GreaterOrEqual, above[0].start, right, left)
}

fn leaf(asm: &mut Assembler, outcome: &Outcome<'_>, default: u32) -> Label {
    match outcome {
        Outcome::Always(action) => asm.ret(*action),
        Outcome::Tested { cases, wide } => {
            let mut next = asm.ret(default);
            for case in cases.iter().rev() {
                let holds = asm.ret(case.action);
                next = condition::all(asm, &case.conditions, *wide, holds, next);
            }
            next
        }
    }
}

#[cfg(test)]
mod tests;
