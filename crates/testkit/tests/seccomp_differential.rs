//! Our seccomp filters against libseccomp's: both programs are run over the same calls and must answer alike. libseccomp is
//! driven by `oracle/libseccomp.c`, built here; without its headers the test says so and passes.

#![allow(clippy::print_stderr, reason = "a test that cannot compare must be heard")]

use plimsoll_runtime::seccomp::{Arch, Data, compile, evaluate};
use plimsoll_spec::runtime::seccomp::{Arg, Seccomp, Syscall};
use plimsoll_sys::seccomp::Instruction;
use plimsoll_testkit::seccomp_profiles::engines;
use std::fmt::Write as _;
use std::io::Write as _;
use std::path::PathBuf;
use std::process::{Command, Stdio};

const X32: u32 = 0x4000_0000;
const ENOSYS: u32 = 0x0005_0026;
const ARCHES: [(Arch, u32); 3] = [(Arch::X86_64, 0), (Arch::X86, 0), (Arch::X32, X32)];

/// `None`, having said why, when libseccomp's headers are not there. Built once: the tests run side by side.
fn oracle() -> Option<PathBuf> {
    static BUILT: std::sync::OnceLock<Option<PathBuf>> = std::sync::OnceLock::new();
    BUILT.get_or_init(build_oracle).clone()
}

fn build_oracle() -> Option<PathBuf> {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/libseccomp.c");
    let program = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join(format!("libseccomp-{}", std::process::id()));
    let built = Command::new("cc").args(["-O1", "-o"]).arg(&program).args([source, "-lseccomp"]).output();
    match built {
        Ok(output) if output.status.success() => Some(program),
        Ok(output) => {
            eprintln!(
                "NOT COMPARED WITH LIBSECCOMP (apt-get install libseccomp-dev): {}",
                String::from_utf8_lossy(&output.stderr)
            );
            None
        }
        Err(error) => {
            eprintln!("NOT COMPARED WITH LIBSECCOMP: no C compiler: {error}");
            None
        }
    }
}

fn action(name: &str, errno: Option<u32>) -> u32 {
    match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => 0x0005_0000 | errno.unwrap_or(1),
        "SCMP_ACT_TRACE" => 0x7ff0_0000 | errno.unwrap_or(1),
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_ALLOW" => 0x7fff_0000,
        other => panic!("{other}"),
    }
}

/// The order of libseccomp's `enum scmp_compare`, from 1.
const OPERATORS: [&str; 7] =
    ["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"];

/// The profile in the oracle's words, split as runc splits it.
fn script(profile: &Seccomp) -> String {
    let default = action(&profile.default_action, profile.default_errno_ret);
    let mut out = format!("default {default}\n");
    for arch in &profile.architectures {
        let name = arch.trim_start_matches("SCMP_ARCH_").to_lowercase();
        writeln!(out, "arch {name}").expect("writes to a string");
    }
    for syscall in &profile.syscalls {
        let code = action(&syscall.action, syscall.errno_ret);
        if code == default {
            continue;
        }
        let mut indices: Vec<u32> = syscall.args.iter().map(|arg| arg.index).collect();
        indices.sort_unstable();
        let repeated = indices.windows(2).any(|pair| pair[0] == pair[1]);
        let groups: Vec<&[Arg]> =
            if repeated { syscall.args.chunks(1).collect() } else { vec![syscall.args.as_slice()] };
        for name in &syscall.names {
            for group in &groups {
                write!(out, "rule {code} {name} {}", group.len()).expect("writes to a string");
                for arg in *group {
                    let op = OPERATORS.iter().position(|op| *op == arg.op).expect("an operator") + 1;
                    write!(out, " {} {op} {} {}", arg.index, arg.value, arg.value_two).expect("writes to a string");
                }
                out.push('\n');
            }
        }
    }
    out.push_str("end\n");
    out
}

/// `None` when libseccomp refuses one of the rules.
fn reference(oracle: &PathBuf, profile: &Seccomp) -> Option<Vec<Instruction>> {
    let mut child =
        Command::new(oracle).stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().expect("the oracle starts");
    child.stdin.take().expect("piped").write_all(script(profile).as_bytes()).expect("the oracle reads");
    let output = child.wait_with_output().expect("the oracle ends");
    match output.status.code() {
        Some(0) => {}
        Some(3) => return None,
        other => panic!("the oracle ended with {other:?} for\n{}", script(profile)),
    }
    let field = |bytes: &[u8], at: usize| bytes[at];
    Some(
        output
            .stdout
            .chunks_exact(8)
            .map(|bytes| Instruction {
                code: u16::from_ne_bytes([bytes[0], bytes[1]]),
                jt: field(bytes, 2),
                jf: field(bytes, 3),
                k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
            })
            .collect(),
    )
}

/// libseccomp 2.5.4 sometimes leaves out the load of the call number behind the test of the architecture, so that the rules are
/// then searched for the architecture's number. Such a program is no oracle.
fn loads_the_number(program: &[Instruction]) -> bool {
    let land = |mut at: usize| {
        while program[at].code == 0x05 {
            at += 1 + program[at].k as usize;
        }
        at
    };
    // The chain of tests that the first instruction, a load of the architecture, leads into.
    let mut at = land(1);
    while program[at].code == 0x15 && ARCHES.iter().any(|(arch, _)| arch.audit() == program[at].k) {
        let section = program[land(at + 1 + usize::from(program[at].jt))];
        if (section.code, section.k) != (0x20, 0) {
            return false;
        }
        at = land(at + 1 + usize::from(program[at].jf));
    }
    true
}

/// Every number of every architecture, each with the given arguments. False when libseccomp made nothing to compare with.
fn compare(oracle: &PathBuf, profile: &Seccomp, samples: &[[u64; 6]]) -> bool {
    let ours = compile(profile, Arch::X86_64).expect("compiles").program;
    let Some(theirs) = reference(oracle, profile).filter(|program| loads_the_number(program)) else { return false };
    for (arch, base) in ARCHES {
        // Beyond the profile's last call libseccomp gives the default; ours gives what runc's patch gives.
        for number in (0..480).map(|number| number | base) {
            for args in samples {
                let data = Data { number, arch: arch.audit(), args: *args, ..Data::default() };
                let (got, want) = (evaluate(&ours, &data).expect("ours"), evaluate(&theirs, &data).expect("theirs"));
                let beyond = got == ENOSYS && want == action(&profile.default_action, profile.default_errno_ret);
                assert!(
                    got == want || beyond,
                    "{arch:?} {data:?}: {got:#x}, libseccomp {want:#x}\n{}",
                    script(profile)
                );
            }
        }
    }
    let foreign = Data { arch: Arch::Aarch64.audit(), ..Data::default() };
    assert_eq!(evaluate(&ours, &foreign), evaluate(&theirs, &foreign));
    true
}

/// The engines' own profiles, with few and with all rights.
#[test]
fn the_default_profiles() {
    let Some(oracle) = oracle() else { return };
    for bounding in [&[][..], &["CAP_SYS_ADMIN", "CAP_SYS_PTRACE"], &plimsoll_sys::caps::NAMES] {
        let (profiles, missing) = engines(bounding);
        missing.iter().for_each(|what| eprintln!("{what}"));
        let values =
            [0, 1, 2, 8, 10, 12, 16, 38, 40, 45, 46, 0x2_0008, 0xffff_ffff, 0x1000_0000, 0x7e02_0000, 1 << 32 | 40];
        let one = |at: usize, value: u64| std::array::from_fn(|index| if index == at { value } else { 0 });
        let samples: Vec<[u64; 6]> =
            values.iter().flat_map(|value| [one(0, *value), one(1, *value), one(2, *value)]).collect();
        for (name, profile) in profiles {
            assert!(compare(&oracle, &known_to(&oracle, profile), &samples), "{name}");
        }
    }
}

/// Without the calls of kernels that are newer than this libseccomp, which it passes over.
fn known_to(oracle: &PathBuf, mut profile: Seccomp) -> Seccomp {
    let names: Vec<String> = profile.syscalls.iter().flat_map(|rule| rule.names.clone()).collect();
    let mut child = Command::new(oracle)
        .arg("known")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .spawn()
        .expect("the oracle starts");
    child.stdin.take().expect("piped").write_all(names.join("\n").as_bytes()).expect("the oracle reads");
    let output = child.wait_with_output().expect("the oracle ends").stdout;
    let known = String::from_utf8(output).expect("names");
    let known: std::collections::HashSet<&str> = known.lines().collect();
    for rule in &mut profile.syscalls {
        rule.names.retain(|name| known.contains(name.as_str()));
    }
    profile
}

struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn value(&mut self) -> u64 {
        const EDGES: [u64; 9] =
            [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, u64::MAX];
        EDGES[self.below(9) as usize]
    }
}

/// A profile as people write them: each call has one action, unconditional or by its arguments. What several actions for one
/// call mean when their conditions overlap depends on libseccomp's internal order; ours is the order of the profile. Several
/// rules for a call only test for equality: libseccomp 2.5.4 joins two rules with `<=` and `>=` on one argument wrongly
/// (`arg <= 2 || arg >= 2^64-1` holds for 2^32-1).
fn random_profile(random: &mut Random) -> Seccomp {
    const NAMES: [&str; 13] = [
        "read",
        "write",
        "openat",
        "socket",
        "bind",
        "shmget",
        "semop",
        "clone",
        "personality",
        "statx",
        "ptrace",
        "mmap2",
        "execve",
    ];
    const ACTIONS: [&str; 5] =
        ["SCMP_ACT_ALLOW", "SCMP_ACT_ERRNO", "SCMP_ACT_LOG", "SCMP_ACT_KILL_PROCESS", "SCMP_ACT_TRACE"];
    let mut syscalls = Vec::new();
    for name in NAMES {
        let action = ACTIONS[random.below(5) as usize];
        let rules = random.below(4);
        let operators = if rules > 1 { &["SCMP_CMP_EQ", "SCMP_CMP_MASKED_EQ"][..] } else { &OPERATORS[..] };
        for _ in 0..rules {
            let first = random.below(6) as u32;
            let args = (0..random.below(4) as u32)
                .map(|at| {
                    let repeat = rules > 1 && random.below(8) == 0;
                    let index = if repeat { first } else { (first + at) % 6 };
                    let op = operators[random.below(operators.len() as u64) as usize];
                    Arg { index, op: op.to_owned(), value: random.value(), value_two: random.value() }
                })
                .collect();
            syscalls.push(Syscall { names: vec![name.to_owned()], action: action.to_owned(), errno_ret: None, args });
        }
    }
    Seccomp {
        default_action: ACTIONS[random.below(5) as usize].to_owned(),
        architectures: ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"][..=random.below(3) as usize]
            .iter()
            .map(ToString::to_string)
            .collect(),
        syscalls,
        ..Seccomp::default()
    }
}

#[test]
fn random_profiles() {
    let Some(oracle) = oracle() else { return };
    let mut random = Random(0x2545_f491_4f6c_dd1d);
    let mut compared = 0;
    for _ in 0..1500 {
        let profile = random_profile(&mut random);
        let samples: Vec<[u64; 6]> = (0..24).map(|_| std::array::from_fn(|_| random.value())).collect();
        compared += u32::from(compare(&oracle, &profile, &samples));
        if compared == 200 {
            return;
        }
    }
    panic!("only {compared} of 200 profiles could be compared");
}
