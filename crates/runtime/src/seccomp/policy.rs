//! The profile with its names understood: what is left is numbers. Nothing here depends on an architecture.

use super::arch::{Arch, Named};
use super::error::{Cause, Refusal};
use super::multiplex::{self, Multiplexed};
use super::table::{self, Numbers};
use plimsoll_spec::runtime::seccomp::{Arg, Seccomp};
use plimsoll_sys::seccomp::Flags;

const EPERM: u32 = 1;
const ENOSYS: u32 = 38;

pub(super) const RET_KILL_THREAD: u32 = 0;
pub(super) const RET_ERRNO: u32 = 0x0005_0000;
const RET_KILL_PROCESS: u32 = 0x8000_0000;
const RET_TRAP: u32 = 0x0003_0000;
const RET_TRACE: u32 = 0x7ff0_0000;
const RET_LOG: u32 = 0x7ffc_0000;
const RET_USER_NOTIF: u32 = 0x7fc0_0000;
const RET_ALLOW: u32 = 0x7fff_0000;

/// Whether the kernel makes the call, and at once.
pub(super) fn goes_through(action: u32) -> bool {
    matches!(action, RET_ALLOW | RET_LOG)
}

/// The actions of the spec that are done here, for `features`.
pub const ACTIONS: [&str; 9] = [
    "SCMP_ACT_KILL",
    "SCMP_ACT_KILL_THREAD",
    "SCMP_ACT_KILL_PROCESS",
    "SCMP_ACT_TRAP",
    "SCMP_ACT_ERRNO",
    "SCMP_ACT_TRACE",
    "SCMP_ACT_ALLOW",
    "SCMP_ACT_LOG",
    "SCMP_ACT_NOTIFY",
];

/// The operators of the spec, for `features`.
pub const OPERATORS: [&str; 7] =
    ["SCMP_CMP_NE", "SCMP_CMP_LT", "SCMP_CMP_LE", "SCMP_CMP_EQ", "SCMP_CMP_GE", "SCMP_CMP_GT", "SCMP_CMP_MASKED_EQ"];

/// The flags of the spec, for `features`.
pub const FLAGS: [&str; 4] = [
    "SECCOMP_FILTER_FLAG_TSYNC",
    "SECCOMP_FILTER_FLAG_LOG",
    "SECCOMP_FILTER_FLAG_SPEC_ALLOW",
    "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV",
];

fn flag(name: &str) -> Option<Flags> {
    Some(match name {
        "SECCOMP_FILTER_FLAG_TSYNC" => Flags::TSYNC,
        "SECCOMP_FILTER_FLAG_LOG" => Flags::LOG,
        "SECCOMP_FILTER_FLAG_SPEC_ALLOW" => Flags::SPEC_ALLOW,
        "SECCOMP_FILTER_FLAG_WAIT_KILLABLE_RECV" => Flags::WAIT_KILLABLE_RECV,
        _ => return None,
    })
}

/// Those of [`FLAGS`] that this kernel knows, for `features`.
pub fn supported_flags() -> Vec<&'static str> {
    let known = |name: &&'static str| {
        flag(name).is_some_and(|flag| {
            // The kernel takes this one only together with a listener.
            let with = if flag == Flags::WAIT_KILLABLE_RECV { flag.with(Flags::NEW_LISTENER) } else { flag };
            plimsoll_sys::seccomp::knows_flags(with)
        })
    };
    FLAGS.into_iter().filter(known).collect()
}

#[derive(Debug)]
pub(super) struct Policy {
    /// The filter's return value for what no rule matches.
    pub(super) default: u32,
    /// What a call beyond the profile's newest one gets, if that differs.
    pub(super) beyond: u32,
    /// The native one first, each once.
    pub(super) arches: Vec<Arch>,
    pub(super) flags: Flags,
    pub(super) rules: Vec<Rule>,
}

#[derive(Debug)]
pub(super) struct Rule {
    pub(super) calls: Vec<Call>,
    pub(super) action: u32,
    /// Any of these alternatives may hold; within one, every condition must. Empty: holds always.
    pub(super) any: Vec<Vec<Condition>>,
}

/// A named call. What no architecture has is left out: the name is newer than this program, or of another machine.
#[derive(Debug)]
pub(super) struct Call {
    pub(super) numbers: Numbers,
    pub(super) through: Option<Multiplexed>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Condition {
    /// 0 to 5.
    pub(super) index: u8,
    pub(super) test: Test,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Test {
    Equal(u64),
    NotEqual(u64),
    Greater(u64),
    GreaterOrEqual(u64),
    Less(u64),
    LessOrEqual(u64),
    Masked { mask: u64, left: u64 },
}

pub(super) fn read(profile: &Seccomp, native: Arch) -> Result<Policy, Refusal> {
    let default = action(&profile.default_action, profile.default_errno_ret)
        .map_err(|cause| Refusal::new(default_pointer(&cause), cause))?;
    // The runtime itself writes to hand the listener over.
    if default == RET_USER_NOTIF {
        return Err(Refusal::new("/defaultAction", Cause::NotifiesWrite));
    }
    let mut rules = Vec::with_capacity(profile.syscalls.len());
    for (at, syscall) in profile.syscalls.iter().enumerate() {
        let action = action(&syscall.action, syscall.errno_ret).map_err(|cause| {
            let field = if is_about_errno(&cause) { "errnoRet" } else { "action" };
            Refusal::new(format!("/syscalls/{at}/{field}"), cause)
        })?;
        if let Some(empty) = syscall.names.iter().position(String::is_empty) {
            return Err(Refusal::new(format!("/syscalls/{at}/names/{empty}"), Cause::EmptyName));
        }
        if action == RET_USER_NOTIF {
            if let Some(write) = syscall.names.iter().position(|name| name == "write") {
                return Err(Refusal::new(format!("/syscalls/{at}/names/{write}"), Cause::NotifiesWrite));
            }
            if profile.listener_path.is_empty() {
                return Err(Refusal::new("/listenerPath", Cause::NoListener));
            }
        }
        let (mut numbers, mut multiplexers) = (table::Finder::default(), multiplex::Finder::default());
        let call = |name: &String| Some(Call { numbers: numbers.find(name)?, through: multiplexers.find(name) });
        let mut calls = Vec::with_capacity(syscall.names.len());
        calls.extend(syscall.names.iter().filter_map(call));
        rules.push(Rule { calls, action, any: alternatives(&syscall.args, at)? });
    }
    Ok(Policy {
        default,
        // As runc does (patchbpf): a program that meets a call newer than the profile should see an old kernel, not a
        // refusal, so that its fallback works. A permissive default lets the kernel answer.
        beyond: if matches!(default, RET_ALLOW | RET_LOG) || default & 0xffff_0000 == RET_TRACE {
            default
        } else {
            RET_ERRNO | ENOSYS
        },
        arches: arches(&profile.architectures, native)?,
        flags: flags(&profile.flags, rules.iter().any(|rule| rule.action == RET_USER_NOTIF))?,
        rules,
    })
}

fn default_pointer(cause: &Cause) -> &'static str {
    if is_about_errno(cause) { "/defaultErrnoRet" } else { "/defaultAction" }
}

fn is_about_errno(cause: &Cause) -> bool {
    matches!(cause, Cause::NoErrno(_) | Cause::ErrnoTooLarge(_))
}

fn action(name: &str, errno: Option<u32>) -> Result<u32, Cause> {
    let (action, takes_errno) = match name {
        "SCMP_ACT_KILL" | "SCMP_ACT_KILL_THREAD" => (RET_KILL_THREAD, false),
        "SCMP_ACT_KILL_PROCESS" => (RET_KILL_PROCESS, false),
        "SCMP_ACT_TRAP" => (RET_TRAP, false),
        "SCMP_ACT_ERRNO" => (RET_ERRNO, true),
        "SCMP_ACT_TRACE" => (RET_TRACE, true),
        "SCMP_ACT_ALLOW" => (RET_ALLOW, false),
        "SCMP_ACT_LOG" => (RET_LOG, false),
        "SCMP_ACT_NOTIFY" => (RET_USER_NOTIF, false),
        other => return Err(Cause::Unknown { what: "action", name: other.to_owned() }),
    };
    match errno {
        None if takes_errno => Ok(action | EPERM),
        None => Ok(action),
        Some(_) if !takes_errno => Err(Cause::NoErrno(name.to_owned())),
        Some(value) if value > 0xffff => Err(Cause::ErrnoTooLarge(value)),
        Some(value) => Ok(action | value),
    }
}

/// All comparisons must hold. But when two of them are about the same argument, each counts alone: runc and crun do so since
/// libseccomp cannot join them, and profiles in the wild rely on it.
fn alternatives(args: &[Arg], syscall: usize) -> Result<Vec<Vec<Condition>>, Refusal> {
    if args.is_empty() {
        return Ok(Vec::new());
    }
    let mut seen = 0_u8;
    let mut repeated = false;
    let mut conditions = Vec::with_capacity(args.len());
    for (at, arg) in args.iter().enumerate() {
        let refuse = |field: &str, cause| Refusal::new(format!("/syscalls/{syscall}/args/{at}/{field}"), cause);
        let index = u8::try_from(arg.index)
            .ok()
            .filter(|index| *index < 6)
            .ok_or_else(|| refuse("index", Cause::ArgumentIndex(arg.index)))?;
        repeated |= seen & 1 << index != 0;
        seen |= 1 << index;
        conditions.push(Condition { index, test: test(arg).map_err(|cause| refuse("op", cause))? });
    }
    Ok(if repeated { conditions.into_iter().map(|one| vec![one]).collect() } else { vec![conditions] })
}

fn test(arg: &Arg) -> Result<Test, Cause> {
    Ok(match arg.op.as_str() {
        "SCMP_CMP_EQ" => Test::Equal(arg.value),
        "SCMP_CMP_NE" => Test::NotEqual(arg.value),
        "SCMP_CMP_GT" => Test::Greater(arg.value),
        "SCMP_CMP_GE" => Test::GreaterOrEqual(arg.value),
        "SCMP_CMP_LT" => Test::Less(arg.value),
        "SCMP_CMP_LE" => Test::LessOrEqual(arg.value),
        // libseccomp, and so every other runtime, ignores what the comparison value has outside the mask.
        "SCMP_CMP_MASKED_EQ" => Test::Masked { mask: arg.value, left: arg.value_two & arg.value },
        other => return Err(Cause::Unknown { what: "operator", name: other.to_owned() }),
    })
}

fn arches(names: &[String], native: Arch) -> Result<Vec<Arch>, Refusal> {
    let mut arches = vec![native];
    for (at, name) in names.iter().enumerate() {
        match Arch::named(name) {
            Named::Known(arch) if arch.runs_on(native) && !arches.contains(&arch) => arches.push(arch),
            Named::Known(_) | Named::Foreign => {}
            Named::Unknown => {
                let cause = Cause::Unknown { what: "architecture", name: name.clone() };
                return Err(Refusal::new(format!("/architectures/{at}"), cause));
            }
        }
    }
    Ok(arches)
}

fn flags(names: &[String], listens: bool) -> Result<Flags, Refusal> {
    let mut flags = if listens { Flags::NEW_LISTENER } else { Flags::default() };
    for (at, name) in names.iter().enumerate() {
        let Some(flag) = flag(name) else {
            let cause = Cause::Unknown { what: "flag", name: name.clone() };
            return Err(Refusal::new(format!("/flags/{at}"), cause));
        };
        // Only says how a listener is waited for; without one the kernel refuses it and it means nothing.
        if flag != Flags::WAIT_KILLABLE_RECV || listens {
            flags = flags.with(flag);
        }
    }
    Ok(flags)
}
