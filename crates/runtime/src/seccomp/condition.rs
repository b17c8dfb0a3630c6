//! Instructions that test the arguments of a system call. An argument has 64 bits, the accumulator 32: the high half decides
//! first, the low half where the high one is equal.

use super::assembler::{Assembler, Compare, Label};
use super::policy::{Condition, Test};

/// Offset of `seccomp_data.args`.
const ARGS: u32 = 16;

/// Begins a test of all `conditions`, which goes on at `holds` or `fails`. `wide` compares 64 bits, else the low half alone.
pub(super) fn all(asm: &mut Assembler, conditions: &[Condition], wide: bool, holds: Label, fails: Label) -> Label {
    let mut next = holds;
    for condition in conditions.iter().rev() {
        next = one(asm, *condition, wide, next, fails);
    }
    next
}

fn one(asm: &mut Assembler, condition: Condition, wide: bool, holds: Label, fails: Label) -> Label {
    let arg = Argument { index: condition.index, wide };
    match condition.test {
        Test::Equal(value) => arg.equal(asm, value, holds, fails),
        Test::NotEqual(value) => arg.equal(asm, value, fails, holds),
        Test::Greater(value) => arg.ordered(asm, Compare::Greater, value, holds, fails),
        Test::GreaterOrEqual(value) => arg.ordered(asm, Compare::GreaterOrEqual, value, holds, fails),
        Test::Less(value) => arg.ordered(asm, Compare::GreaterOrEqual, value, fails, holds),
        Test::LessOrEqual(value) => arg.ordered(asm, Compare::Greater, value, fails, holds),
        Test::Masked { mask, left } => arg.masked(asm, mask, left, holds, fails),
    }
}

struct Argument {
    index: u8,
    wide: bool,
}

impl Argument {
    fn low(&self) -> u32 {
        ARGS + 8 * u32::from(self.index) + if cfg!(target_endian = "big") { 4 } else { 0 }
    }

    fn high(&self) -> u32 {
        ARGS + 8 * u32::from(self.index) + if cfg!(target_endian = "big") { 0 } else { 4 }
    }

    fn equal(&self, asm: &mut Assembler, value: u64, holds: Label, fails: Label) -> Label {
        asm.branch(Compare::Equal, low(value), holds, fails);
        let low_half = asm.load(self.low());
        if !self.wide {
            return low_half;
        }
        asm.branch(Compare::Equal, high(value), low_half, fails);
        asm.load(self.high())
    }

    fn ordered(&self, asm: &mut Assembler, how: Compare, value: u64, holds: Label, fails: Label) -> Label {
        asm.branch(how, low(value), holds, fails);
        let low_half = asm.load(self.low());
        if !self.wide {
            return low_half;
        }
        let same = asm.branch(Compare::Equal, high(value), low_half, fails);
        asm.branch(Compare::Greater, high(value), holds, same);
        asm.load(self.high())
    }

    fn masked(&self, asm: &mut Assembler, mask: u64, left: u64, holds: Label, fails: Label) -> Label {
        asm.branch(Compare::Equal, low(left), holds, fails);
        asm.and(low(mask));
        let low_half = asm.load(self.low());
        if !self.wide || (high(mask) == 0 && high(left) == 0) {
            return low_half;
        }
        asm.branch(Compare::Equal, high(left), low_half, fails);
        asm.and(high(mask));
        asm.load(self.high())
    }
}

fn low(value: u64) -> u32 {
    value as u32
}

fn high(value: u64) -> u32 {
    (value >> 32) as u32
}
