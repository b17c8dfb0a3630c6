//! The compiler against a direct reading of the profile, over random profiles and calls.

use super::*;
use plimsoll_spec::runtime::seccomp::{Arg, Syscall};

const ALLOW: u32 = 0x7fff_0000;
const EPERM: u32 = 0x0005_0001;
const ENOSYS: u32 = 0x0005_0026;
const KILL: u32 = 0;

fn rule(names: &[&str], action: &str, args: &[(u32, &str, u64, u64)]) -> Syscall {
    Syscall {
        names: names.iter().map(ToString::to_string).collect(),
        action: action.to_owned(),
        errno_ret: None,
        args: args
            .iter()
            .map(|(index, op, value, value_two)| Arg {
                index: *index,
                op: (*op).to_owned(),
                value: *value,
                value_two: *value_two,
            })
            .collect(),
    }
}

fn profile(default: &str, arches: &[&str], syscalls: Vec<Syscall>) -> Seccomp {
    Seccomp {
        default_action: default.to_owned(),
        architectures: arches.iter().map(ToString::to_string).collect(),
        syscalls,
        ..Seccomp::default()
    }
}

const X86_ALL: [&str; 3] = ["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"];

fn call(arch: Arch, number: u32, args: &[u64]) -> Data {
    let mut data = Data { number, arch: arch.audit(), ..Data::default() };
    data.args[..args.len()].copy_from_slice(args);
    data
}

fn answer(filter: &Filter, data: &Data) -> u32 {
    evaluate(&filter.program, data).expect("a well-formed program")
}

#[test]
fn each_architecture_has_its_own_numbers() {
    let filter = compile(
        &profile("SCMP_ACT_ERRNO", &X86_ALL, vec![rule(&["execve", "statx"], "SCMP_ACT_ALLOW", &[])]),
        Arch::X86_64,
    )
    .expect("compiles");
    for (arch, allowed, refused) in
        [(Arch::X86_64, 59, 11), (Arch::X86, 11, 59), (Arch::X32, arch::X32_BIT | 520, arch::X32_BIT | 59)]
    {
        assert_eq!(answer(&filter, &call(arch, allowed, &[])), ALLOW, "{arch:?}");
        assert_eq!(answer(&filter, &call(arch, refused, &[])), EPERM, "{arch:?}");
    }
    assert_eq!(answer(&filter, &call(Arch::Aarch64, 221, &[])), KILL);
}

#[test]
fn calls_newer_than_the_profile_do_not_exist() {
    let rules =
        || vec![rule(&["statx", "read"], "SCMP_ACT_ALLOW", &[]), rule(&["no_such_call"], "SCMP_ACT_ALLOW", &[])];
    let filter = compile(&profile("SCMP_ACT_ERRNO", &[], rules()), Arch::X86_64).expect("compiles");
    assert_eq!(answer(&filter, &call(Arch::X86_64, 332, &[])), ALLOW);
    assert_eq!(answer(&filter, &call(Arch::X86_64, 331, &[])), EPERM);
    assert_eq!(answer(&filter, &call(Arch::X86_64, 333, &[])), ENOSYS);
    assert_eq!(answer(&filter, &call(Arch::X86_64, arch::X32_BIT, &[])), KILL);
    assert_eq!(answer(&filter, &call(Arch::X86_64, u32::MAX, &[])), EPERM);

    let permissive = compile(&profile("SCMP_ACT_LOG", &[], rules()), Arch::X86_64).expect("compiles");
    assert_eq!(answer(&permissive, &call(Arch::X86_64, 333, &[])), 0x7ffc_0000);
}

#[test]
fn a_socket_rule_holds_through_socketcall() {
    let rules = vec![rule(&["socket"], "SCMP_ACT_ALLOW", &[]), rule(&["shmget"], "SCMP_ACT_ALLOW", &[])];
    let filter = compile(&profile("SCMP_ACT_ERRNO", &X86_ALL, rules), Arch::X86_64).expect("compiles");
    assert_eq!(answer(&filter, &call(Arch::X86, 359, &[])), ALLOW);
    assert_eq!(answer(&filter, &call(Arch::X86, 102, &[1])), ALLOW);
    assert_eq!(answer(&filter, &call(Arch::X86, 102, &[2])), EPERM);
    assert_eq!(answer(&filter, &call(Arch::X86, 117, &[23])), ALLOW);
}

#[test]
fn what_is_unknown_is_refused_where_it_stands() {
    let refused = |profile: Seccomp| compile(&profile, Arch::X86_64).expect_err("refused").pointer;
    assert_eq!(refused(profile("SCMP_ACT_NONSENSE", &[], vec![])), "/defaultAction");
    assert_eq!(refused(profile("SCMP_ACT_ALLOW", &["SCMP_ARCH_VAX"], vec![])), "/architectures/0");
    let mut flagged = profile("SCMP_ACT_ALLOW", &["SCMP_ARCH_S390X"], vec![]);
    flagged.flags = vec!["SECCOMP_FILTER_FLAG_LOG".to_owned(), "SECCOMP_FILTER_FLAG_X".to_owned()];
    assert_eq!(refused(flagged), "/flags/1");
    let with = |syscall: Syscall| profile("SCMP_ACT_ERRNO", &[], vec![rule(&["read"], "SCMP_ACT_ALLOW", &[]), syscall]);
    assert_eq!(refused(with(rule(&["read"], "ALLOW", &[]))), "/syscalls/1/action");
    assert_eq!(refused(with(rule(&["read"], "SCMP_ACT_LOG", &[(0, "EQ", 0, 0)]))), "/syscalls/1/args/0/op");
    assert_eq!(refused(with(rule(&["read"], "SCMP_ACT_LOG", &[(6, "SCMP_CMP_EQ", 0, 0)]))), "/syscalls/1/args/0/index");
    assert_eq!(refused(with(rule(&["read", ""], "SCMP_ACT_LOG", &[]))), "/syscalls/1/names/1");
    let mut errno = rule(&["read"], "SCMP_ACT_ALLOW", &[]);
    errno.errno_ret = Some(1);
    assert_eq!(refused(with(errno)), "/syscalls/1/errnoRet");
}

#[test]
fn a_filter_that_notifies_has_a_listener() {
    let with = |default: &str, names: &[&str], path: &str, flags: &[&str]| {
        let mut profile = profile(default, &[], vec![rule(names, "SCMP_ACT_NOTIFY", &[])]);
        profile.listener_path = path.to_owned();
        profile.flags = flags.iter().map(ToString::to_string).collect();
        compile(&profile, Arch::X86_64)
    };
    let wait = ["SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV"];
    let filter = with("SCMP_ACT_ALLOW", &["mkdir"], "/run/agent.sock", &wait).expect("compiles");
    assert!(filter.flags.has(Flags::NEW_LISTENER.with(Flags::WAIT_KILLABLE_RECV)));
    assert_eq!(answer(&filter, &call(Arch::X86_64, 83, &[])), 0x7fc0_0000);
    let refused = |result: Result<Filter, Refusal>| result.expect_err("refused").pointer;
    assert_eq!(refused(with("SCMP_ACT_ALLOW", &["mkdir"], "", &[])), "/listenerPath");
    assert_eq!(refused(with("SCMP_ACT_ALLOW", &["mkdir", "write"], "/a", &[])), "/syscalls/0/names/1");
    assert_eq!(refused(with("SCMP_ACT_NOTIFY", &["mkdir"], "/a", &[])), "/defaultAction");
    let quiet = compile(&profile("SCMP_ACT_ALLOW", &[], vec![]), Arch::X86_64).expect("compiles");
    assert!(!quiet.flags.has(Flags::NEW_LISTENER), "nobody notifies");
}

#[test]
fn a_filter_longer_than_the_kernel_takes_is_refused() {
    let rules = (0..2000).map(|value| rule(&["read"], "SCMP_ACT_ALLOW", &[(0, "SCMP_CMP_EQ", value, 0)])).collect();
    let refusal = compile(&profile("SCMP_ACT_ERRNO", &[], rules), Arch::X86_64).expect_err("too long");
    assert!(matches!(refusal.cause, Cause::TooLong { limit: 4096, .. }));
}

/// A small generator with a fixed seed: failures repeat.
struct Random(u64);

impl Random {
    fn below(&mut self, bound: u64) -> u64 {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        self.0 % bound
    }

    fn pick<'a, T: ?Sized>(&mut self, from: &[&'a T]) -> &'a T {
        from[self.below(from.len() as u64) as usize]
    }

    /// Mostly values around the edges of the halves.
    fn value(&mut self) -> u64 {
        let edge = [0, 1, 2, 0x7fff_ffff, 0x8000_0000, 0xffff_ffff, 0x1_0000_0000, 0x1_0000_0001, u64::MAX];
        let base = edge[self.below(edge.len() as u64) as usize];
        if self.below(4) == 0 { base.wrapping_add(self.below(5)).wrapping_sub(2) } else { base }
    }
}

const NAMES: [&str; 12] = [
    "read",
    "write",
    "open",
    "close",
    "socket",
    "clone",
    "personality",
    "statx",
    "ptrace",
    "mmap2",
    "clone3",
    "set_tls",
];

fn random_profile(random: &mut Random) -> Seccomp {
    let mut syscalls = Vec::new();
    // Neither `write` nor everything can notify.
    let (_, own) = ACTIONS.split_last().expect("actions");
    for _ in 0..random.below(40) {
        let names: Vec<&str> = (0..=random.below(3)).map(|_| random.pick(&NAMES)).collect();
        let args: Vec<_> = (0..random.below(4))
            .map(|_| (random.below(6) as u32, random.pick(&OPERATORS), random.value(), random.value()))
            .collect();
        let actions = if names.contains(&"write") { own } else { &ACTIONS };
        syscalls.push(rule(&names, random.pick(actions), &args));
    }
    let arches = if random.below(2) == 0 { &X86_ALL[..] } else { &["SCMP_ARCH_AARCH64", "SCMP_ARCH_ARM"] };
    Seccomp { listener_path: "/run/agent.sock".to_owned(), ..profile(random.pick(own), arches, syscalls) }
}

fn code(action: &str) -> u32 {
    match action {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => 0,
        "SCMP_ACT_KILL_PROCESS" => 0x8000_0000,
        "SCMP_ACT_TRAP" => 0x0003_0000,
        "SCMP_ACT_ERRNO" => EPERM,
        "SCMP_ACT_TRACE" => 0x7ff0_0001,
        "SCMP_ACT_ALLOW" => ALLOW,
        "SCMP_ACT_LOG" => 0x7ffc_0000,
        "SCMP_ACT_NOTIFY" => 0x7fc0_0000,
        other => panic!("{other}"),
    }
}

fn matches(arg: &Arg, data: &Data, wide: bool) -> bool {
    let cut = |value: u64| if wide { value } else { value & 0xffff_ffff };
    let (got, value, two) = (cut(data.args[arg.index as usize]), cut(arg.value), cut(arg.value_two));
    match arg.op.as_str() {
        "SCMP_CMP_NE" => got != value,
        "SCMP_CMP_LT" => got < value,
        "SCMP_CMP_LE" => got <= value,
        "SCMP_CMP_EQ" => got == value,
        "SCMP_CMP_GE" => got >= value,
        "SCMP_CMP_GT" => got > value,
        "SCMP_CMP_MASKED_EQ" => got & value == two & value,
        other => panic!("{other}"),
    }
}

/// What the profile says of one direct call, read naively.
fn reference(profile: &Seccomp, arch: Arch, data: &Data) -> u32 {
    let default = code(&profile.default_action);
    let number = |name: &str| table::find(name).and_then(|numbers| numbers.on(arch));
    let last = profile.syscalls.iter().flat_map(|s| &s.names).filter_map(|name| number(name)).max();
    if last.is_some_and(|last| data.number > last) {
        let permissive =
            ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG", "SCMP_ACT_TRACE"].contains(&profile.default_action.as_str());
        return if permissive { default } else { ENOSYS };
    }
    let about =
        |s: &&Syscall| code(&s.action) != default && s.names.iter().any(|name| number(name) == Some(data.number));
    if let Some(always) = profile.syscalls.iter().filter(about).find(|s| s.args.is_empty()) {
        return code(&always.action);
    }
    for syscall in profile.syscalls.iter().filter(about) {
        let holds: Vec<bool> = syscall.args.iter().map(|arg| matches(arg, data, arch.wide())).collect();
        let mut indices: Vec<u32> = syscall.args.iter().map(|arg| arg.index).collect();
        indices.sort_unstable();
        let repeated = indices.windows(2).any(|pair| pair[0] == pair[1]);
        if if repeated { holds.contains(&true) } else { !holds.contains(&false) } {
            return code(&syscall.action);
        }
    }
    default
}

#[test]
fn random_profiles_mean_what_they_say() {
    let mut random = Random(0x9e37_79b9_7f4a_7c15);
    for _ in 0..150 {
        let profile = random_profile(&mut random);
        let x86 = profile.architectures.len() == 3;
        let arches: &[Arch] = if x86 { &[Arch::X86_64, Arch::X86, Arch::X32] } else { &[Arch::Aarch64, Arch::Arm] };
        let filter = compile(&profile, arches[0]).expect("compiles");
        for _ in 0..200 {
            let arch = arches[random.below(arches.len() as u64) as usize];
            let name = random.pick(&NAMES);
            let Some(number) = table::find(name).and_then(|numbers| numbers.on(arch)) else { continue };
            let number = number + random.below(2) as u32;
            let args: Vec<u64> = (0..6).map(|_| random.value()).collect();
            let data = call(arch, number, &args);
            assert_eq!(answer(&filter, &data), reference(&profile, arch, &data), "{profile:?} {data:?}");
        }
    }
}

#[test]
fn far_jumps_are_bridged() {
    // One long conditional block in the middle of the numbers pushes both sides out of reach of a short jump.
    let mut rules: Vec<_> = (0..300)
        .map(|value| rule(&["mprotect"], "SCMP_ACT_ALLOW", &[(0, "SCMP_CMP_EQ", value << 32 | 7, 0)]))
        .collect();
    rules.push(rule(&["read", "statx"], "SCMP_ACT_ALLOW", &[]));
    let filter = compile(&profile("SCMP_ACT_ERRNO", &X86_ALL, rules), Arch::X86_64).expect("compiles");
    assert_eq!(answer(&filter, &call(Arch::X86_64, 10, &[299 << 32 | 7])), ALLOW);
    assert_eq!(answer(&filter, &call(Arch::X86_64, 10, &[7])), ALLOW);
    assert_eq!(answer(&filter, &call(Arch::X86_64, 10, &[300 << 32 | 7])), EPERM);
    assert_eq!(answer(&filter, &call(Arch::X86_64, 0, &[])), ALLOW);
    assert_eq!(answer(&filter, &call(Arch::X86_64, 332, &[])), ALLOW);
    assert_eq!(answer(&filter, &call(Arch::X86, 125, &[7])), ALLOW);
}

/// `cargo test --release -- --ignored compile_time --nocapture`
#[test]
#[ignore = "a measurement"]
#[allow(clippy::print_stdout)]
fn compile_time() {
    let text = std::fs::read_to_string(std::env::var("PROFILE").expect("PROFILE")).expect("reads");
    let profile: Seccomp = serde_json::from_str(&text).expect("parses");
    let mut times: Vec<_> = (0..200)
        .map(|_| {
            let began = std::time::Instant::now();
            let filter = compile(&profile, Arch::X86_64).expect("compiles");
            (began.elapsed(), filter.program.len())
        })
        .collect();
    println!("first {:?}", times[0]);
    times.sort();
    println!("median {:?}", times[100]);
}
