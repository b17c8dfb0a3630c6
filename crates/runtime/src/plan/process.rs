//! `process`: the program, its credentials and limits, decided.

use super::Scheduling;
use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{Capabilities, ConsoleSize, Process, Rlimit};
use plimsoll_sys::caps::{self, Sets};
use rustix::process::Resource;
use std::collections::BTreeMap;
use std::ffi::CString;
use std::path::PathBuf;

/// One process, for `create` and `exec` alike.
#[derive(Clone, Debug)]
pub(crate) struct ProcessPlan {
    pub args: Vec<CString>,
    pub env: Vec<CString>,
    pub cwd: PathBuf,
    pub uid: u32,
    pub gid: u32,
    pub groups: Vec<u32>,
    pub umask: u32,
    pub capabilities: Sets,
    /// Why a capability was left out; the runtime warns and goes on, as the specification wants.
    capabilities_left_out: Vec<String>,
    pub rlimits: Vec<(Resource, u64, u64)>,
    pub no_new_privileges: bool,
    pub oom_score_adj: Option<i32>,
    pub apparmor_profile: Option<String>,
    pub selinux_label: Option<String>,
    pub terminal: bool,
    pub console_size: Option<ConsoleSize>,
    pub scheduling: Scheduling,
}

impl ProcessPlan {
    /// Says by sd_listen_fds(3) that `count` sockets are waiting from descriptor 3 up.
    pub(crate) fn activated(&mut self, count: u32) {
        if count > 0 {
            let entries = [format!("LISTEN_FDS={count}"), "LISTEN_PID=1".to_owned()];
            self.env.extend(entries.into_iter().filter_map(|entry| CString::new(entry).ok()));
        }
    }

    /// What is left out of what was asked for.
    pub(crate) fn warnings(&self) -> impl Iterator<Item = String> {
        let capability = |why: &String| format!("config.json: /process/capabilities: {why}: left out");
        self.capabilities_left_out.iter().map(capability)
    }

    pub(crate) fn new(process: &Process, pointer: &str) -> Result<Self, Fault> {
        let args = strings(&process.args, &format!("{pointer}/args"))?;
        if args.first().is_none_or(|program| program.is_empty()) {
            return Err(bad_config(&format!("{pointer}/args"), "no program to run"));
        }
        if !process.cwd.starts_with('/') {
            return Err(bad_config(&format!("{pointer}/cwd"), format!("{:?} is not absolute", process.cwd)));
        }
        let mut left_out = Vec::new();
        let capabilities = capabilities(process.capabilities.as_ref(), &mut left_out);
        if let Some(value) = process.oom_score_adj.filter(|v| !(-1000..=1000).contains(v)) {
            return Err(bad_config(&format!("{pointer}/oomScoreAdj"), format!("{value} is not within -1000..1000")));
        }
        Ok(Self {
            args,
            env: environment(&process.env, &format!("{pointer}/env"))?,
            cwd: PathBuf::from(&process.cwd),
            uid: id(process.user.uid, &format!("{pointer}/user/uid"))?,
            gid: id(process.user.gid, &format!("{pointer}/user/gid"))?,
            groups: process.user.additional_gids.clone(),
            umask: process.user.umask.unwrap_or(0o022) & 0o777,
            capabilities,
            capabilities_left_out: left_out,
            rlimits: rlimits(&process.rlimits, pointer)?,
            no_new_privileges: process.no_new_privileges,
            oom_score_adj: process.oom_score_adj,
            apparmor_profile: label(process.apparmor_profile.as_deref(), &format!("{pointer}/apparmorProfile"))?,
            selinux_label: label(process.selinux_label.as_deref(), &format!("{pointer}/selinuxLabel"))?,
            terminal: process.terminal,
            console_size: process.console_size,
            scheduling: Scheduling::new(process, pointer)?,
        })
    }
}

/// 4294967295 is the kernel's "leave as it is", so not an id.
fn id(value: u32, pointer: &str) -> Result<u32, Fault> {
    if value == u32::MAX { Err(bad_config(pointer, format!("{value} is not an id"))) } else { Ok(value) }
}

/// Empty is absent. A line break or NUL would end the value for the kernel.
pub(super) fn label(text: Option<&str>, pointer: &str) -> Result<Option<String>, Fault> {
    let text = text.filter(|text| !text.is_empty());
    if text.is_some_and(|text| text.chars().any(char::is_control)) {
        return Err(bad_config(pointer, format!("{:?} holds a control character", text.unwrap_or_default())));
    }
    Ok(text.map(str::to_owned))
}

fn strings(list: &[String], pointer: &str) -> Result<Vec<CString>, Fault> {
    list.iter().enumerate().map(|(index, text)| c_string(text, pointer, index)).collect()
}

fn c_string(text: &str, pointer: &str, index: usize) -> Result<CString, Fault> {
    CString::new(text).map_err(|_| bad_config(&format!("{pointer}/{index}"), "holds a NUL byte"))
}

/// Later assignments of a name replace earlier ones, as runc does since 1.2.
fn environment(list: &[String], pointer: &str) -> Result<Vec<CString>, Fault> {
    // A pod in a namespace of many services has tens of thousands.
    let mut last = BTreeMap::new();
    for (index, text) in list.iter().enumerate() {
        let name = text.split_once('=').map(|(name, _)| name).filter(|name| !name.is_empty());
        let name =
            name.ok_or_else(|| bad_config(&format!("{pointer}/{index}"), format!("{text:?} is not NAME=value")))?;
        last.insert(name, index);
    }
    let mut kept: Vec<usize> = last.into_values().collect();
    kept.sort_unstable();
    kept.into_iter().map(|index| c_string(&list[index], pointer, index)).collect()
}

/// No `capabilities` means none at all. What is inheritable is what the config says, never more (CVE-2022-29162). The kernel
/// raises nothing to ambient that is not inheritable and permitted; Buildah asks for it all the same, and runc warns.
fn capabilities(given: Option<&Capabilities>, left_out: &mut Vec<String>) -> Sets {
    let Some(given) = given else { return Sets::default() };
    let mut mask = |names: &[String]| names.iter().fold(0, |bits, name| bits | bit(name, left_out));
    let mut sets = Sets {
        bounding: mask(&given.bounding),
        effective: mask(&given.effective),
        inheritable: mask(&given.inheritable),
        permitted: mask(&given.permitted),
        ambient: mask(&given.ambient),
    };
    let possible = sets.inheritable & sets.permitted;
    for (number, name) in caps::NAMES.iter().enumerate() {
        if sets.ambient & !possible & (1 << number) != 0 {
            left_out.push(format!("ambient {name} is not inheritable and permitted"));
        }
    }
    sets.ambient &= possible;
    sets
}

/// The bit of a capability; none, and a reason once, for a name that this kernel does not have.
fn bit(name: &str, left_out: &mut Vec<String>) -> u64 {
    if let Some(number) = caps::number(name) {
        return 1 << number;
    }
    let why = format!("this kernel has no {name}");
    if !left_out.contains(&why) {
        left_out.push(why);
    }
    0
}

const RLIMITS: [(&str, Resource); 16] = [
    ("RLIMIT_AS", Resource::As),
    ("RLIMIT_CORE", Resource::Core),
    ("RLIMIT_CPU", Resource::Cpu),
    ("RLIMIT_DATA", Resource::Data),
    ("RLIMIT_FSIZE", Resource::Fsize),
    ("RLIMIT_LOCKS", Resource::Locks),
    ("RLIMIT_MEMLOCK", Resource::Memlock),
    ("RLIMIT_MSGQUEUE", Resource::Msgqueue),
    ("RLIMIT_NICE", Resource::Nice),
    ("RLIMIT_NOFILE", Resource::Nofile),
    ("RLIMIT_NPROC", Resource::Nproc),
    ("RLIMIT_RSS", Resource::Rss),
    ("RLIMIT_RTPRIO", Resource::Rtprio),
    ("RLIMIT_RTTIME", Resource::Rttime),
    ("RLIMIT_SIGPENDING", Resource::Sigpending),
    ("RLIMIT_STACK", Resource::Stack),
];

/// The name of a limit, for reports.
pub(crate) fn rlimit_name(resource: Resource) -> &'static str {
    RLIMITS.iter().find(|(_, known)| *known == resource).map_or("RLIMIT", |(name, _)| name)
}

fn rlimits(list: &[Rlimit], pointer: &str) -> Result<Vec<(Resource, u64, u64)>, Fault> {
    let mut out: Vec<(Resource, u64, u64)> = Vec::with_capacity(list.len());
    for (index, limit) in list.iter().enumerate() {
        let at = format!("{pointer}/rlimits/{index}");
        let known = RLIMITS.iter().find(|(name, _)| *name == limit.kind);
        let (_, resource) =
            known.ok_or_else(|| bad_config(&format!("{at}/type"), format!("unknown limit {:?}", limit.kind)))?;
        if out.iter().any(|(other, ..)| other == resource) {
            return Err(bad_config(&at, format!("a second {}", limit.kind)));
        }
        if limit.soft > limit.hard {
            return Err(bad_config(&at, format!("soft {} is above hard {}", limit.soft, limit.hard)));
        }
        out.push((*resource, limit.soft, limit.hard));
    }
    Ok(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn process() -> Process {
        Process { args: vec!["/bin/true".into()], cwd: "/".into(), ..Process::default() }
    }

    #[test]
    fn unknown_capabilities_are_noted_not_refused() {
        let mut p = process();
        let names = vec!["CAP_CHOWN".to_owned(), "CAP_FROM_THE_FUTURE".to_owned()];
        p.capabilities = Some(Capabilities { bounding: names.clone(), permitted: names, ..Capabilities::default() });
        let plan = ProcessPlan::new(&p, "/process").expect("a plan");
        assert_eq!(plan.capabilities.bounding, 1);
        assert_eq!(plan.capabilities.inheritable, 0);
        assert_eq!(plan.capabilities_left_out, ["this kernel has no CAP_FROM_THE_FUTURE"]);
    }

    #[test]
    fn ambient_capabilities_are_inheritable_and_permitted() {
        let mut p = process();
        let both = vec!["CAP_CHOWN".to_owned(), "CAP_KILL".to_owned()];
        let one = vec!["CAP_CHOWN".to_owned()];
        let given =
            Capabilities { permitted: both.clone(), inheritable: one, ambient: both, ..Capabilities::default() };
        p.capabilities = Some(given);
        let plan = ProcessPlan::new(&p, "/process").expect("a plan");
        assert_eq!(plan.capabilities.ambient, 1);
        assert_eq!(plan.capabilities_left_out, ["ambient CAP_KILL is not inheritable and permitted"]);
    }

    #[test]
    fn the_last_assignment_of_a_name_wins() {
        let mut p = process();
        p.env = vec!["A=1".into(), "B=2".into(), "A=3".into()];
        let plan = ProcessPlan::new(&p, "/process").expect("a plan");
        assert_eq!(plan.env, [c"B=2".into(), CString::from(c"A=3")]);
    }

    #[test]
    fn refusals() {
        type Spoil = fn(&mut Process);
        let cases: [(&str, Spoil); 6] = [
            ("/process/args", |p| p.args.clear()),
            ("/process/cwd", |p| p.cwd = "relative".into()),
            ("/process/user/uid", |p| p.user.uid = u32::MAX),
            ("/process/env/0", |p| p.env = vec!["novalue".into()]),
            ("/process/oomScoreAdj", |p| p.oom_score_adj = Some(1001)),
            ("/process/rlimits/0/type", |p| p.rlimits = vec![Rlimit { kind: "NOFILE".into(), hard: 1, soft: 1 }]),
        ];
        for (pointer, spoil) in cases {
            let mut p = process();
            spoil(&mut p);
            let fault = ProcessPlan::new(&p, "/process").expect_err(pointer);
            assert_eq!(fault.details().pointer.as_deref(), Some(pointer));
        }
    }
}
