//! Our filters against those that runc really loads: libseccomp's, with runc's own part in front that answers ENOSYS for calls newer
//! than the profile. They are read back from a running container's process (`oracle/filter_of.c`), and both programs are run over every
//! call number of three architectures: equal, without exception.
#![cfg(feature = "privileged")]
#![allow(clippy::print_stderr, reason = "a test that cannot compare must be heard")]

use plimsoll_runtime::seccomp::{Arch, Data, compile, evaluate};
use plimsoll_spec::runtime::Seccomp;
use plimsoll_sys::seccomp::Instruction;
use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::seccomp_profiles::engines;
use plimsoll_testkit::{Scratch, bundle, run};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;

const X32: u32 = 0x4000_0000;
const ARCHES: [(Arch, u32); 3] = [(Arch::X86_64, 0), (Arch::X86, 0), (Arch::X32, X32)];

fn reader(scratch: &Scratch) -> PathBuf {
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/oracle/filter_of.c");
    let program = scratch.join("filter_of");
    let built = Command::new("cc").args(["-O1", "-o"]).arg(&program).arg(source).output().expect("a C compiler");
    assert!(built.status.success(), "{}", String::from_utf8_lossy(&built.stderr));
    program
}

/// The filter of a container's init.
fn loaded(scratch: &Scratch, reader: &Path, runtime: Runtime, profile: &Seccomp, number: usize) -> Vec<Instruction> {
    let mut made = bundle(scratch);
    made.set("/linux/seccomp", serde_json::to_value(profile).expect("JSON"));
    made.args(&["sleep", "60"]);
    let id = scratch.id(&format!("{}{number}", runtime.0));
    let verb = |args: &[&str]| run(runtime.command(scratch).args(args));
    verb(&["run", "--detach", "--bundle", &made.path.to_string_lossy(), &id]).ok();
    let state: Value = serde_json::from_str(&verb(&["state", &id]).ok()).expect("JSON");
    let output = Command::new(reader).arg(state["pid"].to_string()).output().expect("the reader runs");
    verb(&["delete", "--force", &id]).ok();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    let one = |bytes: &[u8]| Instruction {
        code: u16::from_ne_bytes([bytes[0], bytes[1]]),
        jt: bytes[2],
        jf: bytes[3],
        k: u32::from_ne_bytes([bytes[4], bytes[5], bytes[6], bytes[7]]),
    };
    output.stdout.chunks_exact(8).map(one).collect()
}

fn profiles() -> Vec<(String, Seccomp)> {
    let (found, missing) = engines(&["CAP_CHOWN"]);
    missing.iter().for_each(|what| eprintln!("{what}"));
    let mut out: Vec<(String, Seccomp)> = found.into_iter().map(|(name, profile)| (name.to_owned(), profile)).collect();
    let arches = json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86", "SCMP_ARCH_X32"]);
    // What a container needs at least, so that the default may be a refusal.
    let base = out[0].1.syscalls.clone();
    for (name, default, errno, arches) in [
        ("kill", "SCMP_ACT_KILL_PROCESS", None, arches.clone()),
        ("trap", "SCMP_ACT_TRAP", None, arches.clone()),
        ("errno", "SCMP_ACT_ERRNO", Some(13), arches.clone()),
        ("enosys", "SCMP_ACT_ERRNO", Some(38), arches.clone()),
        ("native alone", "SCMP_ACT_ERRNO", None, json!(["SCMP_ARCH_X86_64"])),
        ("no architecture", "SCMP_ACT_ERRNO", None, json!([])),
        ("without x32", "SCMP_ACT_ERRNO", None, json!(["SCMP_ARCH_X86_64", "SCMP_ARCH_X86"])),
    ] {
        let whole =
            json!({ "defaultAction": default, "defaultErrnoRet": errno, "architectures": arches, "syscalls": base });
        out.push((name.to_owned(), serde_json::from_value(whole).expect("a profile")));
    }
    for action in ["SCMP_ACT_ALLOW", "SCMP_ACT_LOG"] {
        let rule =
            json!([{ "names": ["mkdir", "openat2", "mount_setattr"], "action": "SCMP_ACT_ERRNO", "errnoRet": 28 }]);
        let whole = json!({ "defaultAction": action, "architectures": arches, "syscalls": rule });
        out.push((action.to_owned(), serde_json::from_value(whole).expect("a profile")));
    }
    out
}

#[test]
fn what_runc_loads_answers_alike() {
    if cfg!(not(target_arch = "x86_64")) {
        return;
    }
    let scratch = Scratch::new();
    let reader = reader(&scratch);
    for (number, (name, profile)) in profiles().iter().enumerate() {
        let profile = &older(profile);
        let ours = compile(profile, Arch::X86_64).expect("compiles").program;
        assert_eq!(loaded(&scratch, &reader, Runtime("plimrun"), profile, number), ours, "{name}: loaded as compiled");
        let theirs = loaded(&scratch, &reader, Runtime("runc"), profile, number);
        for (arch, base) in ARCHES {
            for number in 0..600 {
                for value in [0, 1, 2, 8, 16, 38, 40, 45, 0x2_0008, 0xffff_ffff, 0x1000_0000, 0x7e02_0000, 1 << 32] {
                    for at in 0..2 {
                        let args = std::array::from_fn(|index| if index == at { value } else { 0 });
                        let data = Data { number: number | base, arch: arch.audit(), args, ..Data::default() };
                        let (got, want) =
                            (evaluate(&ours, &data).expect("ours"), evaluate(&theirs, &data).expect("theirs"));
                        assert_eq!(got, want, "{name}: {arch:?} {data:?}: {got:#x}, runc {want:#x}");
                    }
                }
            }
        }
    }
}

/// Without the calls that came after Linux 5.17: the libseccomp under runc here may not know them, and then its "newest call" is
/// another.
fn older(profile: &Seccomp) -> Seccomp {
    const NEW: &str = "cachestat fchmodat2 futex_requeue futex_wait futex_wake futex_waitv getxattrat listmount listxattrat \
        lsm_get_self_attr lsm_list_modules lsm_set_self_attr map_shadow_stack mseal open_tree_attr removexattrat \
        set_mempolicy_home_node setxattrat statmount uretprobe file_getattr file_setattr listns riscv_hwprobe";
    let mut profile = profile.clone();
    for rule in &mut profile.syscalls {
        rule.names.retain(|name| !NEW.split_whitespace().any(|new| new == name));
    }
    profile
}
