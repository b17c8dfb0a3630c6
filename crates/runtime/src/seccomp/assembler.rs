//! Writes classic BPF from the last instruction to the first. A jump can only go forward, so everything that it can reach is
//! already there, at a known distance, when the jump is written.

use plimsoll_sys::seccomp::Instruction;

const LD_W_ABS: u16 = 0x20;
const ALU_AND_K: u16 = 0x54;
const JMP_JA: u16 = 0x05;
const RET_K: u16 = 0x06;

/// How a conditional jump compares the accumulator with its constant.
#[derive(Clone, Copy, PartialEq, Eq)]
pub(super) enum Compare {
    Equal = 0x15,
    Greater = 0x25,
    GreaterOrEqual = 0x35,
}

/// A place in the program: how many instructions lie at and after it.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub(super) struct Label(usize);

#[derive(Default)]
pub(super) struct Assembler {
    reversed: Vec<Instruction>,
    /// Where each return value was last written.
    returns: Vec<(u32, Label)>,
}

impl Assembler {
    /// A place that returns `value`. One is written only when none is near enough for a jump.
    pub(super) fn ret(&mut self, value: u32) -> Label {
        // Leaves room for what is written between this and the jump that will use it.
        const NEAR: usize = 192;
        let known = self.returns.iter().position(|(v, _)| *v == value);
        if let Some(at) = known
            && self.reversed.len() - self.returns[at].1.0 < NEAR
        {
            return self.returns[at].1;
        }
        let label = self.push(RET_K, 0, 0, value);
        match known {
            Some(at) => self.returns[at].1 = label,
            None => self.returns.push((value, label)),
        }
        label
    }

    /// Loads the word at `offset` of `seccomp_data` and goes on with what was written last.
    pub(super) fn load(&mut self, offset: u32) -> Label {
        self.push(LD_W_ABS, 0, 0, offset)
    }

    /// Masks the accumulator and goes on with what was written last.
    pub(super) fn and(&mut self, mask: u32) -> Label {
        self.push(ALU_AND_K, 0, 0, mask)
    }

    /// Goes on at `to`: nothing is written when that is what was written last.
    pub(super) fn go(&mut self, to: Label) -> Label {
        match self.reversed.len() - to.0 {
            0 => to,
            // The length of a program is bounded far below u32::MAX.
            distance => self.push(JMP_JA, 0, 0, distance as u32),
        }
    }

    pub(super) fn branch(&mut self, how: Compare, value: u32, holds: Label, fails: Label) -> Label {
        let (holds, fails) = (self.near(holds), self.near(fails));
        // Writing the second stepping stone may have moved the first out of reach, but only by one: `near` keeps that back.
        let (jt, jf) = (self.distance(holds), self.distance(fails));
        self.push(how as u16, jt, jf, value)
    }

    /// The instructions in the order in which they run.
    pub(super) fn finish(mut self) -> Vec<Instruction> {
        self.reversed.reverse();
        self.reversed
    }

    /// A place in reach of a conditional jump that leads to `label`.
    fn near(&mut self, label: Label) -> Label {
        const REACH: usize = u8::MAX as usize - 1;
        if self.reversed.len() - label.0 <= REACH { label } else { self.go(label) }
    }

    fn distance(&self, to: Label) -> u8 {
        u8::try_from(self.reversed.len() - to.0).unwrap_or(u8::MAX)
    }

    fn push(&mut self, code: u16, jt: u8, jf: u8, k: u32) -> Label {
        self.reversed.push(Instruction { code, jt, jf, k });
        Label(self.reversed.len())
    }
}
