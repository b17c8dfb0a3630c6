//! A seccomp profile and calls: the compiled filter says what the rules say when they are read one after the other.

use crate::mutate::Source;
use plimsoll_runtime::seccomp::{Arch, Data, compile, evaluate};
use plimsoll_spec::runtime::seccomp::Seccomp;
use serde_json::{Value, json};

/// Calls of x86-64 by name and number.
const CALLS: [(&str, u32); 6] =
    [("read", 0), ("write", 1), ("mmap", 9), ("kill", 62), ("personality", 135), ("openat2", 437)];
const OPERATORS: [&str; 7] =
    ["SCMP_CMP_EQ", "SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_GT", "SCMP_CMP_GE", "SCMP_CMP_MASKED_EQ"];
const VALUES: [u64; 7] = [0, 1, 2, 8, 0xffff_ffff, 1 << 32, u64::MAX];
const ALLOW: u32 = 0x7fff_0000;
const ERRNO: u32 = 0x0005_0000;

#[derive(Clone, Copy)]
struct Test {
    index: usize,
    value: u64,
    two: u64,
    operator: usize,
}

impl Test {
    fn holds(&self, args: &[u64; 6]) -> bool {
        let is = args[self.index];
        match self.operator {
            0 => is == self.value,
            1 => is != self.value,
            2 => is < self.value,
            3 => is <= self.value,
            4 => is > self.value,
            5 => is >= self.value,
            // As libseccomp: what the mask leaves of both.
            _ => is & self.value == self.two & self.value,
        }
    }
}

struct Rule {
    call: usize,
    errno: u32,
    tests: Vec<Test>,
}

/// Each rule about an own argument per test: two tests of one argument mean something else to libseccomp, which another test
/// compares with.
fn rule(source: &mut Source) -> Rule {
    let call = source.below(CALLS.len());
    let errno = 2 + u32::from(source.byte() % 60);
    let count = source.below(3);
    let test = |index: usize, source: &mut Source| Test {
        index: index * 2,
        value: source.of(&VALUES),
        two: source.of(&VALUES),
        operator: source.below(OPERATORS.len()),
    };
    Rule { call, errno, tests: (0..count).map(|index| test(index, source)).collect() }
}

/// An unconditional rule wins wherever it stands; else the first whose tests all hold; else the default.
fn oracle(rules: &[Rule], number: u32, args: &[u64; 6]) -> u32 {
    let of = |rule: &&Rule| CALLS[rule.call].1 == number;
    let plain = rules.iter().filter(of).find(|rule| rule.tests.is_empty());
    let first = rules.iter().filter(of).find(|rule| rule.tests.iter().all(|test| test.holds(args)));
    plain.or(first).map_or(ALLOW, |rule| ERRNO | rule.errno)
}

fn written(rules: &[Rule]) -> Value {
    let tests = |rule: &Rule| -> Vec<Value> {
        let one =
            |t: &Test| json!({ "index": t.index, "value": t.value, "valueTwo": t.two, "op": OPERATORS[t.operator] });
        rule.tests.iter().map(one).collect()
    };
    let rule = |rule: &Rule| json!({ "names": [CALLS[rule.call].0], "action": "SCMP_ACT_ERRNO", "errnoRet": rule.errno, "args": tests(rule) });
    json!({ "defaultAction": "SCMP_ACT_ALLOW", "architectures": ["SCMP_ARCH_X86_64"], "syscalls": rules.iter().map(rule).collect::<Vec<_>>() })
}

pub fn body(data: &[u8]) {
    let mut source = Source::new(data);
    let rules: Vec<Rule> = (0..source.below(7)).map(|_| rule(&mut source)).collect();
    let profile: Seccomp = serde_json::from_value(written(&rules)).expect("a profile");
    let Ok(filter) = compile(&profile, Arch::X86_64) else { return };
    for _ in 0..16 {
        let number = CALLS[source.below(CALLS.len())].1;
        let args = std::array::from_fn(|_| source.of(&VALUES));
        let data = Data { number, arch: Arch::X86_64.audit(), args, ..Data::default() };
        let got = evaluate(&filter.program, &data).expect("a well-formed program");
        assert_eq!(got, oracle(&rules, number, &args), "{number} {args:x?} by {}", written(&rules));
    }
}
