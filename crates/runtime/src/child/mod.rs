//! The container's side of making a process, after the clone: one thread, a copy of the parent's memory, no way back.
//! Everything it has to say goes over the channel.

mod console;
mod copy_up;
mod devices;
mod enter;
mod hide;
mod home;
mod identity;
mod lsm;
mod mounts;
mod net_devices;
mod program;
mod rootfs;
mod scheduling;
mod stdio;
mod user;
mod v1_mount;

pub(crate) use enter::{Exec, exec};
pub(crate) use user::{join_all, join_users};

use crate::fault::At;
use crate::hooks::Place;
use crate::parent::sources::{self, Sources};
use crate::parent::spawn::conceal;
use crate::parent::{self, users};
use crate::plan::{Plan, ProcessPlan, Scheduling};
use crate::seccomp::Filter;
use crate::sync::{Channel, Message};
use crate::{CreateRequest, hooks, kept_filter};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::{OCI_VERSION, State, Status};
use plimsoll_sys::process::{self, Namespaces};
use plimsoll_sys::procfs::Procfs;
use plimsoll_sys::seccomp::Flags;
use plimsoll_sys::{SingleThread, loopback, ns};
use rustix::io::Errno;
use rustix::net::SocketFlags;
use std::convert::Infallible;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};

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
    /// systemd moves this process to its cgroup: until then nothing is done.
    pub placed_by_systemd: bool,
    pub request: CreateRequest<'a>,
    pub gate: Gate,
    /// Over which the filter comes, if there is one.
    pub filter: Option<Channel>,
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
    let Init { plan, sources, tasks, placed_by_systemd, request, gate, filter, privileged } = init;
    let plan = &plan;
    settle(token, plan, channel, privileged, placed_by_systemd)?;
    let proc = begin(tasks)?;
    // execCPUAffinity is not the init's (config.md).
    scheduling::affinity(&Scheduling::default())?;
    enter_namespaces(token, plan, &sources)?;
    if !plan.namespaces.own_user() {
        users::oom_score(&proc, "self", &plan.process)?;
    }
    if !request.no_new_keyring {
        keyring(request.id, &proc, &plan.process)?;
    }
    let trees = match sources.trees {
        None => user::receive_trees(channel, plan)?,
        trees => trees,
    };
    if !sources.net_devices.is_empty() {
        ask(channel, &Message::Entered, &Message::Moved)?;
        net_devices::configure(&sources.net_devices)?;
    }
    // Closed by their owners: become_user closes the numbers of all that is left, which must then have no owner.
    drop((sources.namespaces, sources.own_pid, request.pidfd_socket));
    let root = rootfs::build(plan, trees)?;
    if !(plan.hooks.prestart.is_empty() && plan.hooks.create_runtime.is_empty()) {
        ask(channel, &Message::Mounted, &Message::Enter)?;
    }
    let console = console::make(&root, &plan.process, &request.stdio)?;
    if !plan.hooks.create_container.is_empty() {
        rustix::process::fchdir(&root).at("hook", "fchdir", &plan.rootfs, || "cannot enter the rootfs".into())?;
        let state = hook_state(plan, request.id, Status::Creating);
        hooks::run(&plan.hooks.create_container, "/hooks/createContainer", &state, Place::Created)?;
    }
    rootfs::enter(token, plan, root, request.no_pivot)?;
    set_names(plan)?;
    sysctls(&proc, plan)?;
    hide::apply(plan)?;
    if plan.readonly {
        rootfs::make_readonly()?;
    }
    lsm::on_exec(&proc, &plan.process)?;
    drop(proc);
    scheduling::apply(&plan.process.scheduling, &plan.domain)?;
    stdio::install(request.stdio, console)?;
    // Taken as late as can be: it is compiled meanwhile.
    let filter = filter.map(|from| kept_filter::take(&from)).transpose()?;
    let (program, filter) =
        become_user(&plan.process, filter.as_ref(), request.preserve_fds, channel, gate.descriptor())?;
    channel.send(&Message::Ready).at("sync", "send", "", || "the runtime does not listen".into())?;
    wait_for_release(gate, channel)?;
    if !plan.hooks.start_container.is_empty() {
        let (state, place) =
            (hook_state(plan, request.id, Status::Created), Place::Container { env: &plan.process.env });
        hooks::run(&plan.hooks.start_container, "/hooks/startContainer", &state, place)?;
        // They were kept from the hooks.
        keep_preserved(request.preserve_fds)?;
    }
    program.execute(filter)
}

/// The namespaces that come before all else. Nobody may look into this process from its first moment on: between here and
/// execve `/proc/<pid>` leads to the host (CVE-2016-9962). Only a runtime without rights must see its child to map it; nobody
/// else is in that user namespace yet.
fn settle(
    token: &SingleThread,
    plan: &Plan,
    channel: &Channel,
    privileged: bool,
    placed_by_systemd: bool,
) -> Result<(), Fault> {
    let mapped = plan.namespaces.new.has(Namespaces::USER);
    if privileged || !mapped {
        conceal()?;
    }
    if placed_by_systemd {
        expect(channel, &Message::Placed)?;
    }
    if plan.namespaces.new.has(Namespaces::TIME) && !plan.namespaces.joins(Namespaces::USER) {
        user::new_clocks(token, &users::clocks_file()?, plan)?;
    }
    if mapped {
        expect(channel, &Message::Mapped)?;
        user::become_root()?;
    }
    Ok(())
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
    if !plan.namespaces.by_go_between() {
        for (kind, fd) in &sources.namespaces {
            // The pid namespace was joined by being born into it.
            if *kind != Namespaces::PID {
                ns::join(token, fd, *kind).map_err(|error| sources::not_joined(*kind, error))?;
            }
        }
    }
    if plan.namespaces.new.has(Namespaces::CGROUP) {
        ns::unshare(token, Namespaces::CGROUP)
            .at("namespace", "unshare", "", || "cannot make the cgroup namespace".into())?;
    }
    if plan.namespaces.new.has(Namespaces::NET) && !parent::loopback::is_ours(plan) {
        loopback::up().at("namespace", "ioctl", "lo", || "cannot bring up lo".into())?;
    }
    Ok(())
}

fn keyring(id: &str, proc: &Procfs, process: &ProcessPlan) -> Result<(), Fault> {
    if process.selinux_label.is_some() {
        lsm::on_keys(proc, process.selinux_label.as_deref())?;
        let joined = join_keyring(id);
        lsm::on_keys(proc, None)?;
        return joined;
    }
    join_keyring(id)
}

fn join_keyring(id: &str) -> Result<(), Fault> {
    match plimsoll_sys::keyring::join_session(&format!("_ses.{id}")) {
        // No keyrings in this kernel, or filtered by an outer container.
        Ok(()) | Err(Errno::NOSYS | Errno::PERM) => Ok(()),
        Err(error) => Err(error).at("identity", "keyctl", "", || "cannot make a session keyring".into()),
    }
}

fn ask(channel: &Channel, question: &Message, answer: &Message) -> Result<(), Fault> {
    channel.send(question).at("sync", "send", "", || "the runtime does not listen".into())?;
    expect(channel, answer)
}

/// The state as hooks of the child see it. They run in the container's namespaces, so its pid is that of its own
/// (runtime.md, "State").
fn hook_state(plan: &Plan, id: &str, status: Status) -> State {
    State {
        oci_version: OCI_VERSION.to_owned(),
        id: id.to_owned(),
        pid: rustix::process::getpid().as_raw_nonzero().get(),
        status,
        bundle: plan.bundle.to_string_lossy().into_owned(),
        rootfs: String::new(),
        created: String::new(),
        annotations: plan.annotations.clone(),
        owner: String::new(),
    }
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
        let what = || format!("config.json: /linux/sysctl: cannot set {path} to {value:?}");
        written
            .at("sysctl", "write", format!("/proc/{file}"), what)
            .map_err(|fault| fault.detail(|d| d.pointer = Some("/linux/sysctl".to_owned())))?;
    }
    Ok(())
}

/// Limits, credentials, working directory: nothing of the runtime's rights is left after this.
/// Gives the program and the filter that is still to be loaded, as late as can be.
fn become_user<'f>(
    process: &ProcessPlan,
    filter: Option<&'f Filter>,
    preserve_fds: u32,
    channel: &Channel,
    gate: Option<BorrowedFd<'_>>,
) -> Result<(program::Program, Option<&'f Filter>), Fault> {
    let env = home::environment(process);
    stdio::give_to(process.uid)?;
    identity::limits(process)?;
    // Before a filter that may forbid getcwd. The user may be able to enter where root may not (a network filesystem): tried again.
    let arrived = identity::change_directory(process).and_then(|()| identity::verify_directory(process));
    let kept: Vec<BorrowedFd<'_>> = std::iter::once(channel.as_fd()).chain(gate).collect();
    // Closed, not only close-on-exec: the program and its interpreter are looked up before the exec closes anything, and
    // `/proc/self/fd/7/bin/sh` would be the host's (CVE-2024-21626). Before the filter, which may not know close_range (Linux 5.9).
    process::close_from(3_u32.saturating_add(preserve_fds), &kept)
        .at("isolate", "close_range", "", || "cannot close inherited descriptors".into())?;
    keep_preserved(preserve_fds)?;
    // Without no_new_privileges only CAP_SYS_ADMIN may load a filter: so before it is dropped.
    if !process.no_new_privileges {
        load_filter(filter, channel)?;
    }
    identity::assume(process)?;
    if arrived.is_err() {
        identity::change_directory(process)?;
        identity::verify_directory(process)?;
    }
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(process.umask));
    let program = program::Program::find(process, env)?;
    match filter.filter(|_| process.no_new_privileges) {
        // Its listener must be handed over while the runtime still listens.
        Some(filter) if filter.flags.has(Flags::NEW_LISTENER) => {
            load_filter(Some(filter), channel)?;
            Ok((program, None))
        }
        late => Ok((program, late)),
    }
}

fn keep_preserved(count: u32) -> Result<(), Fault> {
    process::keep_over_exec(3, count).at("isolate", "fcntl", "", || "cannot keep the preserved descriptors".into())
}

fn load_filter(filter: Option<&Filter>, channel: &Channel) -> Result<(), Fault> {
    let (Some(filter), Some(listener)) = (filter, identity::load_filter(filter)?) else { return Ok(()) };
    let question = Message::Listener(listener.as_raw_fd());
    channel.send(&question).at("sync", "write", "", || "the runtime does not listen".into())?;
    match channel.receive().at("sync", "recv", "", || "the runtime cannot be heard".into())? {
        Some(Message::Taken) => Ok(()),
        Some(Message::Give) if filter.lets("sendmsg") => {
            channel.give(&listener).at("sync", "sendmsg", "", || "the runtime does not listen".into())?;
            expect(channel, &Message::Taken)
        }
        Some(Message::Give) => {
            let what = "config.json: /linux/seccomp: the filter holds up sendmsg, by which a runtime without rights must be given the listener";
            Err(Fault::new(Layer::OciRuntime, "seccomp", what).kind(Kind::PermissionDenied))
        }
        other => Err(Fault::new(Layer::OciRuntime, "sync", format!("expected Taken of the runtime, got {other:?}"))),
    }
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
