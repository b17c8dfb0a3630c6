//! Device rules as an eBPF program for cgroup v2. Pure. The last rule that speaks about an access decides it.
//!
//! The program has no jumps: each rule computes whether it speaks about the request and changes the answer or leaves it. The
//! kernel walks a program before it takes it, and every jump doubles the ways: 62 instructions with a jump for each test take it
//! 0.8 ms, 180 in a line 0.2 ms (Linux 6.18).

use super::devices::Rule;
use plimsoll_sys::bpf::Instruction;

// Registers: the request's kind, access, major and minor, and two to compute in.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
/// What keeps a rule from speaking about the request: zero if it does.
const APART: u8 = 6;
const WORK: u8 = 7;

/// linux/bpf.h: BPF_DEVCG_*.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;
const MKNOD: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;
const ALL: i32 = MKNOD | READ | WRITE;

const LOAD_WORD: u8 = 0x61;
// 32 bits wide, which clears the upper half: majors and minors may have the top bit set.
const MOVE_REGISTER: u8 = 0xbc;
const XOR_IMMEDIATE: u8 = 0xa4;
const AND_IMMEDIATE: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE_IMMEDIATE: u8 = 0xb4;
const OR_REGISTER: u8 = 0x4c;
const AND_REGISTER: u8 = 0x5c;
// 64 bits wide: the top bit of what is negated says whether it was not zero.
const NEGATE: u8 = 0x87;
const SHIFT_RIGHT_WIDE: u8 = 0x77;
const EXIT: u8 = 0x95;

/// The program for `rules`, or none when everything is allowed.
pub(crate) fn device_program(rules: &[Rule]) -> Option<Vec<Instruction>> {
    let decisive = rules.iter().rposition(Rule::is_everything);
    let (at_first, rest) = decisive.map_or((false, rules), |at| (rules[at].allow, &rules[at + 1..]));
    if rest.is_empty() && at_first {
        return None;
    }
    let mut out = vec![
        load(KIND, 0),
        register(MOVE_REGISTER, ACCESS, KIND),
        immediate(AND_IMMEDIATE, KIND, 0xffff),
        immediate(SHIFT_RIGHT, ACCESS, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
        immediate(MOVE_IMMEDIATE, ANSWER, i32::from(at_first)),
    ];
    for rule in rest {
        decide(&mut out, rule);
    }
    // It is that already; but older kernels (6.1) do not know what an "or" of two registers can come to, and refuse the program.
    out.push(immediate(AND_IMMEDIATE, ANSWER, 1));
    out.push(immediate(EXIT, 0, 0));
    Some(out)
}

/// One rule's part.
fn decide(out: &mut Vec<Instruction>, rule: &Rule) {
    let begin = out.len();
    match rule.kind {
        'b' => differs(out, begin, KIND, BLOCK),
        'c' => differs(out, begin, KIND, CHAR),
        _ => {}
    }
    if let Some(major) = rule.major {
        differs(out, begin, MAJOR, major.cast_signed());
    }
    if let Some(minor) = rule.minor {
        differs(out, begin, MINOR, minor.cast_signed());
    }
    let access = access(rule);
    if rule.allow && access != ALL {
        // Allows only what it names in full.
        let at = begin_or(out, begin, ACCESS);
        out.push(immediate(AND_IMMEDIATE, at, ALL & !access));
        join(out, at);
    } else if access != ALL {
        // Forbids whatever touches what it names.
        let at = begin_or(out, begin, ACCESS);
        out.push(immediate(AND_IMMEDIATE, at, access));
        not_zero(out, at);
        out.push(immediate(XOR_IMMEDIATE, at, 1));
        join(out, at);
    }
    not_zero(out, APART);
    if rule.allow {
        out.push(immediate(XOR_IMMEDIATE, APART, 1));
        out.push(register(OR_REGISTER, ANSWER, APART));
    } else {
        out.push(register(AND_REGISTER, ANSWER, APART));
    }
}

fn differs(out: &mut Vec<Instruction>, begin: usize, from: u8, value: i32) {
    let at = begin_or(out, begin, from);
    out.push(immediate(XOR_IMMEDIATE, at, value));
    join(out, at);
}

/// Copies `from` to where it can be computed with: a rule's first test is all that there is of it so far.
fn begin_or(out: &mut Vec<Instruction>, begin: usize, from: u8) -> u8 {
    let at = if out.len() == begin { APART } else { WORK };
    out.push(register(MOVE_REGISTER, at, from));
    at
}

fn join(out: &mut Vec<Instruction>, at: u8) {
    if at != APART {
        out.push(register(OR_REGISTER, APART, at));
    }
}

/// 1 if it is not zero.
fn not_zero(out: &mut Vec<Instruction>, at: u8) {
    out.push(immediate(NEGATE, at, 0));
    out.push(immediate(SHIFT_RIGHT_WIDE, at, 63));
}

fn access(rule: &Rule) -> i32 {
    let bit = |is: bool, bit: i32| if is { bit } else { 0 };
    bit(rule.mknod, MKNOD) | bit(rule.read, READ) | bit(rule.write, WRITE)
}

fn load(to: u8, offset: i16) -> Instruction {
    Instruction { code: LOAD_WORD, registers: CONTEXT << 4 | to, offset, immediate: 0 }
}

fn immediate(code: u8, to: u8, immediate: i32) -> Instruction {
    Instruction { code, registers: to, offset: 0, immediate }
}

fn register(code: u8, to: u8, from: u8) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset: 0, immediate: 0 }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::resources::rules;
    use plimsoll_spec::runtime::DeviceRule;

    /// The few instructions above, executed.
    fn run(program: &[Instruction], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        let mut r = [0u64; 8];
        for i in program {
            let (to, from) = ((i.registers & 15) as usize, (i.registers >> 4) as usize);
            let value = i.immediate.cast_unsigned();
            let low = |r: u64| r as u32;
            r[to] = match i.code {
                LOAD_WORD => [(access << 16 | kind).cast_unsigned(), major, minor][i.offset as usize / 4].into(),
                MOVE_REGISTER => low(r[from]).into(),
                XOR_IMMEDIATE => (low(r[to]) ^ value).into(),
                AND_IMMEDIATE => (low(r[to]) & value).into(),
                SHIFT_RIGHT => (low(r[to]) >> value).into(),
                MOVE_IMMEDIATE => value.into(),
                OR_REGISTER => (low(r[to]) | low(r[from])).into(),
                AND_REGISTER => (low(r[to]) & low(r[from])).into(),
                NEGATE => r[to].wrapping_neg(),
                SHIFT_RIGHT_WIDE => r[to] >> value,
                EXIT => r[to],
                other => panic!("{other:#x}"),
            };
        }
        assert!(r[0] <= 1, "an answer is yes or no");
        r[0] == 1
    }

    /// The rules, read one after the other.
    fn says(rules: &[Rule], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        rules.iter().fold(false, |answer, rule| {
            let named = super::access(rule);
            let of = matches!((rule.kind, kind), ('b', BLOCK) | ('c', CHAR) | ('a', _))
                && rule.major.is_none_or(|number| number == major)
                && rule.minor.is_none_or(|number| number == minor)
                && if rule.allow { access & !named == 0 } else { access & named != 0 };
            if of { rule.allow } else { answer }
        })
    }

    #[test]
    fn every_request_gets_what_the_rules_say() {
        let numbers = [None, Some(0), Some(1), Some(8), Some(u32::MAX)];
        let mut seed = 1_u32;
        let mut pick = |n: usize| {
            seed = seed.wrapping_mul(1_103_515_245).wrapping_add(12_345);
            (seed >> 16) as usize % n
        };
        for _ in 0..300 {
            let mut one = || Rule {
                allow: pick(2) == 0,
                kind: ['a', 'b', 'c'][pick(3)],
                major: numbers[pick(5)],
                minor: numbers[pick(5)],
                read: pick(2) == 0,
                write: pick(2) == 0,
                mknod: pick(2) == 0,
            };
            let rules: Vec<Rule> = (0..6).map(|_| one()).filter(|rule| super::access(rule) != 0).collect();
            let Some(program) = device_program(&rules) else { continue };
            for (kind, access) in [BLOCK, CHAR].into_iter().flat_map(|kind| (1..=ALL).map(move |access| (kind, access)))
            {
                for (major, minor) in [0, 1, 2, 8, u32::MAX].into_iter().flat_map(|a| [0, 1, 3, 8].map(|b| (a, b))) {
                    let wanted = says(&rules, kind, access, major, minor);
                    let got = run(&program, kind, access, major, minor);
                    assert_eq!(got, wanted, "{kind} {access} {major}:{minor} of {rules:?}");
                }
            }
        }
    }

    fn program(list: &[DeviceRule]) -> Vec<Instruction> {
        device_program(&rules(list).expect("rules")).expect("a program")
    }

    #[test]
    fn the_default_list_allows_null_and_not_the_disk() {
        let p = program(&[]);
        assert!(run(&p, CHAR, READ | WRITE, 1, 3));
        assert!(run(&p, CHAR, MKNOD, 99, 1), "making any node is allowed");
        assert!(!run(&p, CHAR, READ, 1, 1), "/dev/mem");
        assert!(!run(&p, BLOCK, READ, 8, 0));
        assert!(run(&p, CHAR, READ | WRITE, 136, 7), "a pty");
    }

    #[test]
    fn later_rules_win_and_partial_access_is_exact() {
        let rule = |allow, access: &str| DeviceRule {
            allow,
            kind: Some("b".into()),
            major: Some(8),
            minor: Some(0),
            access: Some(access.into()),
        };
        let p = program(&[rule(true, "r")]);
        assert!(run(&p, BLOCK, READ, 8, 0) && !run(&p, BLOCK, READ | WRITE, 8, 0) && !run(&p, BLOCK, READ, 8, 1));
        let p = program(&[rule(true, "rwm"), rule(false, "w")]);
        assert!(run(&p, BLOCK, READ, 8, 0) && !run(&p, BLOCK, READ | WRITE, 8, 0));
    }

    #[test]
    fn allowing_everything_needs_no_program() {
        let all = DeviceRule { allow: true, access: Some("rwm".into()), ..DeviceRule::default() };
        assert_eq!(device_program(&rules(&[all]).expect("rules")), None);
    }
}
