//! Device rules as an eBPF program for cgroup v2. Pure. The last rule that speaks about an access decides it.

use super::devices::Rule;
use plimsoll_sys::bpf::Instruction;

// Registers: the request's kind, access, major and minor, and one to compute in.
const ANSWER: u8 = 0;
const CONTEXT: u8 = 1;
const KIND: u8 = 2;
const ACCESS: u8 = 3;
const MAJOR: u8 = 4;
const MINOR: u8 = 5;
const WORK: u8 = 6;

/// linux/bpf.h: BPF_DEVCG_*.
const BLOCK: i32 = 1;
const CHAR: i32 = 2;
const MKNOD: i32 = 1;
const READ: i32 = 2;
const WRITE: i32 = 4;
const ALL: i32 = MKNOD | READ | WRITE;

const LOAD_WORD: u8 = 0x61;
const AND_IMMEDIATE: u8 = 0x54;
const SHIFT_RIGHT: u8 = 0x74;
const MOVE_REGISTER: u8 = 0xbc;
const MOVE_IMMEDIATE: u8 = 0xb7;
/// 32 bits wide: majors and minors may have the top bit set.
const JUMP_EQUAL: u8 = 0x16;
const JUMP_NOT_EQUAL: u8 = 0x56;
const EXIT: u8 = 0x95;

/// The program for `rules`, or none when everything is allowed.
pub(crate) fn device_program(rules: &[Rule]) -> Option<Vec<Instruction>> {
    let decisive = rules.iter().rposition(Rule::is_everything);
    let rest = decisive.map_or(rules, |at| &rules[at..]);
    if let [only] = rest
        && only.is_everything()
        && only.allow
    {
        return None;
    }
    let mut out = prologue();
    for rule in rest.iter().rev() {
        let block = block(rule);
        let whole = rule.is_everything();
        out.extend(block);
        if whole {
            return Some(out);
        }
    }
    out.extend(answer(false));
    Some(out)
}

fn prologue() -> Vec<Instruction> {
    vec![
        load(KIND, 0),
        immediate(MOVE_REGISTER, ACCESS, KIND, 0),
        immediate(AND_IMMEDIATE, KIND, 0, 0xffff),
        immediate(SHIFT_RIGHT, ACCESS, 0, 16),
        load(MAJOR, 4),
        load(MINOR, 8),
    ]
}

/// Tests that jump past the answer when the rule does not speak about the request, then the answer.
fn block(rule: &Rule) -> Vec<Instruction> {
    let mut tests = Vec::new();
    match rule.kind {
        'b' => tests.push(jump(JUMP_NOT_EQUAL, KIND, BLOCK)),
        'c' => tests.push(jump(JUMP_NOT_EQUAL, KIND, CHAR)),
        _ => {}
    }
    if let Some(major) = rule.major {
        tests.push(jump(JUMP_NOT_EQUAL, MAJOR, major.cast_signed()));
    }
    if let Some(minor) = rule.minor {
        tests.push(jump(JUMP_NOT_EQUAL, MINOR, minor.cast_signed()));
    }
    let access = access(rule);
    if access != ALL {
        tests.push(immediate(MOVE_REGISTER, WORK, ACCESS, 0));
        if rule.allow {
            // Allows only what it names in full.
            tests.push(immediate(AND_IMMEDIATE, WORK, 0, ALL & !access));
            tests.push(jump(JUMP_NOT_EQUAL, WORK, 0));
        } else {
            // Forbids whatever touches what it names.
            tests.push(immediate(AND_IMMEDIATE, WORK, 0, access));
            tests.push(jump(JUMP_EQUAL, WORK, 0));
        }
    }
    let count = tests.len();
    for (index, test) in tests.iter_mut().enumerate() {
        if matches!(test.code, JUMP_EQUAL | JUMP_NOT_EQUAL) {
            // Past the remaining tests and the two instructions of the answer; a rule has at most six tests.
            test.offset = i16::try_from(count - index - 1 + 2).unwrap_or(i16::MAX);
        }
    }
    tests.extend(answer(rule.allow));
    tests
}

fn access(rule: &Rule) -> i32 {
    let bit = |is: bool, bit: i32| if is { bit } else { 0 };
    bit(rule.mknod, MKNOD) | bit(rule.read, READ) | bit(rule.write, WRITE)
}

fn answer(allow: bool) -> [Instruction; 2] {
    [immediate(MOVE_IMMEDIATE, ANSWER, 0, i32::from(allow)), immediate(EXIT, 0, 0, 0)]
}

fn load(to: u8, offset: i16) -> Instruction {
    Instruction { code: LOAD_WORD, registers: CONTEXT << 4 | to, offset, immediate: 0 }
}

fn immediate(code: u8, to: u8, from: u8, immediate: i32) -> Instruction {
    Instruction { code, registers: from << 4 | to, offset: 0, immediate }
}

fn jump(code: u8, register: u8, value: i32) -> Instruction {
    immediate(code, register, 0, value)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::plan::resources::rules;
    use plimsoll_spec::runtime::DeviceRule;

    /// The few instructions above, executed.
    fn run(program: &[Instruction], kind: i32, access: i32, major: u32, minor: u32) -> bool {
        let mut r = [0u32; 7];
        let mut at = 0;
        loop {
            let i = program[at];
            let (to, from, value) =
                ((i.registers & 15) as usize, (i.registers >> 4) as usize, i.immediate.cast_unsigned());
            let mut skip = false;
            match i.code {
                LOAD_WORD => r[to] = [(access << 16 | kind).cast_unsigned(), major, minor][i.offset as usize / 4],
                AND_IMMEDIATE => r[to] &= value,
                SHIFT_RIGHT => r[to] >>= value,
                MOVE_REGISTER => r[to] = r[from],
                MOVE_IMMEDIATE => r[to] = value,
                JUMP_EQUAL => skip = r[to] == value,
                JUMP_NOT_EQUAL => skip = r[to] != value,
                _ => return r[0] == 1,
            }
            at += 1 + if skip { i.offset as usize } else { 0 };
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
