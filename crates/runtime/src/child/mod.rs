//! The container's side of making a process, after the clone: one thread, a copy of the parent's memory, no way back.
//! Everything it has to say goes over the channel.

mod console;
mod copy_up;
mod devices;
mod enter;
mod hide;
mod home;
mod identity;
mod mounts;
mod program;
mod rootfs;
mod stdio;
mod user;
mod v1_mount;

pub(crate) use enter::{Exec, exec};
pub(crate) use user::{join_all, join_users};

use crate::fault::At;
use crate::parent::sources::Sources;
use crate::parent::spawn::conceal;
use crate::parent::users;
use crate::plan::{Plan, ProcessPlan};
use crate::seccomp::Filter;
use crate::sync::{Channel, Message};
use crate::{CreateRequest, hooks};
use plimsoll_fault::{Fault, Layer};
use plimsoll_spec::runtime::{OCI_VERSION, State, Status};
use plimsoll_sys::process::{self, Namespaces};
use plimsoll_sys::procfs::Procfs;
use plimsoll_sys::{SingleThread, loopback, ns};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use std::convert::Infallible;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// Where the init waits for its release.
#[derive(Debug)]
pub(crate) enum Gate {
    /// On its own channel (`run`).
    Channel,
    /// For a connection to the start socket (`create`).
    Listener(OwnedFd),
}

impl Gate {
    fn descriptor(&self) -> Option<BorrowedFd<'_>> {
        match self {
            Self::Channel => None,
            Self::Listener(listener) => Some(listener.as_fd()),
        }
    }
}

/// What an init is made of.
#[derive(Debug)]
pub(crate) struct Init<'a> {
    pub plan: Plan,
    pub sources: Sources,
    /// v1 `tasks` files to write `0` to.
    pub tasks: Vec<OwnedFd>,
    pub request: CreateRequest<'a>,
    pub gate: Gate,
    /// Whether the parent can write to this process's files in `/proc` whatever it does.
    pub privileged: bool,
}

/// Never returns: the program is executed, or the fault is sent and the process ends.
pub(crate) fn init(token: &SingleThread, init: Init<'_>, mut channel: Channel) -> ! {
    match run(token, init, &mut channel) {
        Ok(never) => match never {},
        Err(fault) => fail(&channel, fault),
    }
}

/// Sends the fault and ends. A parent that is gone cannot be told; the exit code is all that is left then.
fn fail(channel: &Channel, fault: Fault) -> ! {
    match channel.send(&Message::Failed(fault)) {
        Ok(()) | Err(_) => process::exit_now(1),
    }
}

fn run(token: &SingleThread, init: Init<'_>, channel: &mut Channel) -> Result<Infallible, Fault> {
    let Init { plan, sources, tasks, request, gate, privileged } = init;
    let plan = &plan;
    settle(token, plan, channel, privileged)?;
    let proc = begin(tasks)?;
    enter_namespaces(token, plan, &sources)?;
    if !plan.namespaces.own_user() {
        users::oom_score(&proc, "self", &plan.process)?;
    }
    if !request.no_new_keyring {
        keyring(request.id)?;
    }
    if !(plan.hooks.prestart.is_empty() && plan.hooks.create_runtime.is_empty()) {
        ask_for_hooks(channel)?;
    }
    let root = rootfs::build(plan, sources)?;
    let console = console::make(&root, &plan.process, &request.stdio)?;
    let hooked = !(plan.hooks.create_container.is_empty() && plan.hooks.start_container.is_empty());
    let mut state = hooked.then(|| hook_state(&proc, plan, &request)).transpose()?;
    if let Some(state) = &state {
        hooks::run(&plan.hooks.create_container, "/hooks/createContainer", state)?;
    }
    rootfs::enter(token, plan, root, request.no_pivot)?;
    set_names(plan)?;
    sysctls(&proc, plan)?;
    hide::apply(plan)?;
    if plan.readonly {
        rootfs::make_readonly()?;
    }
    drop(proc);
    stdio::install(request.stdio, console)?;
    let mut kept = vec![channel.as_fd()];
    kept.extend(gate.descriptor());
    let program = become_user(&plan.process, plan.seccomp.as_ref(), request.preserve_fds, &kept)?;
    channel.send(&Message::Ready).at("sync", "send", "", || "the runtime does not listen".into())?;
    wait_for_release(gate, channel)?;
    if let Some(state) = &mut state {
        state.status = Status::Created;
        hooks::run(&plan.hooks.start_container, "/hooks/startContainer", state)?;
    }
    program.execute(plan.process.no_new_privileges.then_some(plan.seccomp.as_ref()).flatten())
}

/// The namespaces that come before all else. Nobody may look into this process from its first moment on: between here and
/// execve `/proc/<pid>` leads to the host (CVE-2016-9962). Only a runtime without rights must see its child to map it; nobody
/// else is in that user namespace yet.
fn settle(token: &SingleThread, plan: &Plan, channel: &Channel, privileged: bool) -> Result<(), Fault> {
    let mapped = plan.namespaces.new.has(Namespaces::USER);
    let seen = mapped && !privileged;
    if !seen {
        conceal()?;
    }
    if plan.namespaces.new.has(Namespaces::TIME) && !plan.namespaces.joins(Namespaces::USER) {
        user::new_clocks(token, &users::clocks_file()?, plan)?;
    }
    if mapped {
        expect(channel, &Message::Mapped)?;
        user::become_root()?;
    }
    if seen { conceal() } else { Ok(()) }
}

/// What init and exec have in common at first: this process is in its cgroup before it does anything that costs.
fn begin(tasks: Vec<OwnedFd>) -> Result<Procfs, Fault> {
    for task in tasks {
        rustix::io::write(&task, b"0")
            .at("cgroup", "write", "tasks", || "cannot join the container's cgroup".into())?;
    }
    plimsoll_sys::signals::reset().at("isolate", "sigprocmask", "", || "cannot reset signals".into())?;
    rustix::process::umask(rustix::fs::Mode::empty());
    rustix::process::setsid().at("isolate", "setsid", "", || "cannot make a session".into())?;
    Procfs::host().at("isolate", "open", "/proc", || "/proc is not procfs".into())
}

fn enter_namespaces(token: &SingleThread, plan: &Plan, sources: &Sources) -> Result<(), Fault> {
    // With a joined user namespace the go-between has joined all others too.
    if !plan.namespaces.joins(Namespaces::USER) {
        for (kind, fd) in &sources.namespaces {
            // The pid namespace was joined by being born into it.
            if *kind != Namespaces::PID {
                ns::join(token, fd, *kind)
                    .at("namespace", "setns", "", || "cannot join a namespace of the config".into())?;
            }
        }
    }
    if plan.namespaces.new.has(Namespaces::CGROUP) {
        ns::unshare(token, Namespaces::CGROUP)
            .at("namespace", "unshare", "", || "cannot make the cgroup namespace".into())?;
    }
    if plan.namespaces.new.has(Namespaces::NET) {
        loopback::up().at("namespace", "ioctl", "lo", || "cannot bring up lo".into())?;
    }
    Ok(())
}

fn keyring(id: &str) -> Result<(), Fault> {
    match plimsoll_sys::keyring::join_session(&format!("_ses.{id}")) {
        // No keyrings in this kernel, or filtered by an outer container.
        Ok(()) | Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        Err(error) => Err(error).at("identity", "keyctl", "", || "cannot make a session keyring".into()),
    }
}

fn ask_for_hooks(channel: &Channel) -> Result<(), Fault> {
    channel.send(&Message::Entered).at("sync", "send", "", || "the runtime does not listen".into())?;
    expect(channel, &Message::Mount)
}

/// The state as hooks of the child see it. Its pid is the host's: as the host's procfs knows this process.
fn hook_state(proc: &Procfs, plan: &Plan, request: &CreateRequest<'_>) -> Result<State, Fault> {
    let pid = proc.own_pid().at("hook", "readlink", "/proc/self", || "cannot see the own pid".into())?;
    Ok(State {
        oci_version: OCI_VERSION.to_owned(),
        id: request.id.to_owned(),
        pid,
        status: Status::Creating,
        bundle: request.bundle.to_string_lossy().into_owned(),
        rootfs: plan.rootfs.to_string_lossy().into_owned(),
        created: String::new(),
        annotations: plan.annotations.clone(),
        owner: String::new(),
    })
}

fn expect(channel: &Channel, wanted: &Message) -> Result<(), Fault> {
    let got = channel.receive().at("sync", "recv", "", || "the runtime cannot be heard".into())?;
    if got.as_ref() == Some(wanted) {
        return Ok(());
    }
    Err(Fault::new(Layer::OciRuntime, "sync", format!("expected {wanted:?} of the runtime, got {got:?}")))
}

fn set_names(plan: &Plan) -> Result<(), Fault> {
    if let Some(name) = &plan.hostname {
        rustix::system::sethostname(name.as_bytes())
            .at("identity", "sethostname", "", || format!("config.json: /hostname: cannot set {name:?}"))?;
    }
    if let Some(name) = &plan.domainname {
        rustix::system::setdomainname(name.as_bytes())
            .at("identity", "setdomainname", "", || format!("config.json: /domainname: cannot set {name:?}"))?;
    }
    Ok(())
}

fn sysctls(proc: &Procfs, plan: &Plan) -> Result<(), Fault> {
    for (path, value) in &plan.sysctls {
        let file = format!("sys/{path}");
        let written = match proc.write(&file, value.as_bytes()) {
            // The host's own /proc/sys is covered read-only in nested containers: then an instance of our own.
            Err(Errno::XDEV | Errno::ROFS) => Procfs::private().and_then(|own| own.write(&file, value.as_bytes())),
            other => other,
        };
        written.at("sysctl", "write", format!("/proc/{file}"), || {
            format!("config.json: /linux/sysctl: cannot set {path} to {value:?}")
        })?;
    }
    Ok(())
}

/// Limits, credentials, working directory: nothing of the runtime's rights is left after this.
fn become_user(
    process: &ProcessPlan,
    filter: Option<&Filter>,
    preserve_fds: u32,
    kept: &[BorrowedFd<'_>],
) -> Result<program::Program, Fault> {
    let env = home::environment(process);
    stdio::give_to(process.uid)?;
    identity::limits(process)?;
    let arrived = identity::change_directory(process);
    // Without no_new_privileges only CAP_SYS_ADMIN may load a filter: so before it is dropped.
    if !process.no_new_privileges {
        identity::load_filter(filter)?;
    }
    identity::assume(process)?;
    if arrived.is_err() {
        identity::change_directory(process)?;
    }
    identity::verify_directory(process)?;
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(process.umask));
    // Closed, not only close-on-exec: the program and its interpreter are looked up before the exec closes anything, and
    // `/proc/self/fd/7/bin/sh` would be the host's (CVE-2024-21626).
    process::close_from(3_u32.saturating_add(preserve_fds), kept)
        .at("isolate", "close_range", "", || "cannot close inherited descriptors".into())?;
    process::keep_over_exec(3, preserve_fds)
        .at("isolate", "fcntl", "", || "cannot keep the preserved descriptors".into())?;
    program::Program::find(process, env)
}

fn wait_for_release(gate: Gate, channel: &mut Channel) -> Result<(), Fault> {
    if let Gate::Listener(listener) = gate {
        let accepted = loop {
            match rustix::net::accept_with(&listener, SocketFlags::CLOEXEC) {
                Err(Errno::INTR) => {}
                other => break other,
            }
        };
        let connection = accepted.at("start", "accept", "", || "cannot wait for start".into())?;
        *channel = Channel::from_socket(connection);
    }
    expect(channel, &Message::Execute)
}
