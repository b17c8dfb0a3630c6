//! `exec`: one more process in a running container.

use crate::fault::At;
use crate::parent::cgroup;
use crate::parent::init::{send_pidfd, write_pid};
use crate::parent::sources::own_pid_namespace;
use crate::parent::spawn::{PidNamespace, spawn, spawn_inside};
use crate::parent::{lsm, notify, rdt, users};
use crate::plan::{Agent, ProcessPlan};
use crate::record::Record;
use crate::sync::{Channel, Message};
use crate::{Created, Root, Stdio, child, kept_filter};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::{Process, Status};
use plimsoll_sys::SingleThread;
use plimsoll_sys::cgroup::{Group, Layout, v2_group_of};
use plimsoll_sys::process::{Fork, Namespaces};
use plimsoll_sys::sched::{self, CpuSet};
use plimsoll_sys::seccomp::Flags;
use rustix::io::Errno;
use rustix::process::Pid;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// What to run and where.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    pub id: &'a str,
    /// Complete: nothing is taken from the container's own process. See [`crate::container_process`] for a template.
    pub process: Process,
    pub stdio: Stdio,
    /// Gets the decimal pid without newline, atomically, once the process runs.
    pub pid_file: Option<&'a Path>,
    /// A connected unix stream socket that gets the process's pidfd (`SCM_RIGHTS`, payload `setns`) once it runs.
    pub pidfd_socket: Option<OwnedFd>,
    /// Groups below the container's own: controller (empty: all, as on v2) and relative path.
    pub sub_cgroups: Vec<(String, String)>,
    pub preserve_fds: u32,
    /// Run in a paused container all the same (the process stays frozen until it is resumed).
    pub ignore_paused: bool,
}

impl<'a> ExecRequest<'a> {
    /// A request with everything optional left out and the caller's own stdio.
    pub fn new(id: &'a str, process: Process) -> Self {
        Self {
            id,
            process,
            stdio: Stdio::Inherit,
            pid_file: None,
            pidfd_socket: None,
            sub_cgroups: Vec::new(),
            preserve_fds: 0,
            ignore_paused: false,
        }
    }
}

/// Runs a process in the namespaces, cgroup and seccomp filter of the container and returns once its program is being
/// executed (or with the fault that prevented it). The process is a direct child of the caller.
pub fn exec(token: &SingleThread, root: &Root, request: ExecRequest<'_>) -> Result<Created, Fault> {
    let id = request.id.to_owned();
    steps(token, root, request).map_err(|fault| fault.in_container(&id))
}

fn steps(token: &SingleThread, root: &Root, request: ExecRequest<'_>) -> Result<Created, Fault> {
    let (record, folder) = Record::load(root, request.id)?;
    let init = record.pidfd().filter(|_| runnable(record.status(&folder), request.ignore_paused));
    let Some(init) = init else { return Err(not_running(&record, &folder)) };
    let process = ProcessPlan::new(&request.process, "/process")?;
    terminal_agrees(&process, &request)?;
    lsm::check(&process, "/process")?;
    process.warnings().for_each(|text| root.warn(&text));
    let seccomp = kept_filter::load(&folder)?;
    let listens = seccomp.as_ref().is_some_and(|filter| filter.flags.has(Flags::NEW_LISTENER));
    let agent = if listens { agent(&folder)? } else { None };
    let is_v2 = record.cgroups.iter().all(|(controllers, _)| controllers.is_empty());
    let (tasks, v2) = groups(&record, &request.sub_cgroups, is_v2)?;
    let join = Namespaces::from_bits(record.namespaces);
    let (ours, theirs) = Channel::pair().at("clone", "socketpair", "", || "cannot make a channel".into())?;
    let before = process.scheduling.initial.as_ref().map(start_on).transpose()?;
    let mut forked = spawn_exec(token, &init, join, &process, v2.as_ref().map(AsFd::as_fd));
    if is_v2 && request.sub_cgroups.is_empty() && is_busy(&forked) {
        let group = group_of_init(&record)?;
        forked = spawn_exec(token, &init, join, &process, Some(group.as_fd()));
    }
    if let (Some(before), false) = (&before, matches!(forked, Ok((Fork::Child, _)))) {
        affinity(before)?;
    }
    let (forked, join) = forked?;
    let (child, pidfd) = match forked {
        Fork::Parent { child, pidfd } => (child, pidfd),
        Fork::Child => {
            // A folder of the host must not be reachable through /proc/self/fd when the program is looked up.
            drop((ours, v2));
            let ExecRequest { id, stdio, preserve_fds, .. } = request;
            let domain = record.domain;
            let exec = child::Exec { id, init, join, process, domain, seccomp, tasks, stdio, preserve_fds };
            child::exec(token, exec, &theirs)
        }
    };
    drop(theirs);
    let created = Created { pid: child, pidfd, readiness: None, published: None };
    // A frozen process speaks only once it is thawed: then there is nothing to wait for.
    if record.status(&folder) != Status::Paused
        && let Err(fault) = attend(&ours, &created, &record, agent.as_ref())
    {
        return Err(reaped(created, fault));
    }
    match tell(&request, &created) {
        Ok(()) => Ok(created),
        Err(fault) => Err(reaped(created, fault)),
    }
}

/// Tells the caller which process it is. One that cannot be told of must not run on.
fn tell(request: &ExecRequest<'_>, created: &Created) -> Result<(), Fault> {
    if let Some(path) = request.pid_file {
        write_pid(path, created.pid)?;
    }
    if let Some(socket) = &request.pidfd_socket {
        send_pidfd(socket, "setns", &created.pidfd)?;
    }
    Ok(())
}

/// What the process joins by: files to write to, or the folder of cgroup v2 to be born in.
fn groups(record: &Record, below: &[(String, String)], is_v2: bool) -> Result<(Vec<OwnedFd>, Option<OwnedFd>), Fault> {
    let folders = cgroup_folders(record, below)?;
    let folders = folders.iter().map(PathBuf::as_path);
    let (mut tasks, v2) =
        if is_v2 { (Vec::new(), cgroup::v2_folder_of(folders)?) } else { (cgroup::tasks_of(folders)?, None) };
    tasks.extend(rdt::tasks(record.rdt.as_ref())?);
    Ok((tasks, v2))
}

/// An init that gives controllers on to groups below (systemd does) leaves none in which processes may be but those: then an exec
/// goes where the init is, as with runc.
fn is_busy(forked: &Result<(Fork, Namespaces), Fault>) -> bool {
    forked.as_ref().is_err_and(|fault| fault.details().errno == Some(Errno::BUSY.raw_os_error()))
}

fn group_of_init(record: &Record) -> Result<OwnedFd, Fault> {
    let what = || "cannot find the cgroup of the container's init".to_owned();
    let pid = Pid::from_raw(record.pid).ok_or(Errno::SRCH).at("cgroup", "open", "/proc", what)?;
    let group = v2_group_of(pid).at("cgroup", "read", format!("/proc/{}/cgroup", record.pid), what)?;
    let path = match cgroup::layout()? {
        Layout::V2(tree) => tree.folder(&group),
        Layout::V1(_) => group,
    };
    Group { path: path.clone() }.folder().at("cgroup", "open", path, what)
}

/// The process, and the namespaces that it has still to join. Without rights over the caller's own user namespace, the
/// container's must be entered before its pid namespace.
fn spawn_exec(
    token: &SingleThread,
    init: &OwnedFd,
    join: Namespaces,
    process: &ProcessPlan,
    v2: Option<BorrowedFd<'_>>,
) -> Result<(Fork, Namespaces), Fault> {
    if join.has(Namespaces::USER) && !users::privileged() {
        let first = if join.has(Namespaces::PID) { Namespaces::USER.with(Namespaces::PID) } else { Namespaces::USER };
        let enter = |token: &SingleThread| child::join_users(token, init, first, process);
        return spawn_inside(token, Namespaces::NONE, v2, enter).map(|forked| (forked, join.without(first)));
    }
    let own = join.has(Namespaces::PID).then(own_pid_namespace).transpose()?;
    let pid = own.as_ref().map(|own| PidNamespace { target: init.as_fd(), own });
    spawn(token, Namespaces::NONE, pid, v2).map(|forked| (forked, join.without(Namespaces::PID)))
}

/// The CPUs of `initial`, on which the process is made and joins the cgroup; gives those of before.
fn start_on(cpus: &CpuSet) -> Result<CpuSet, Fault> {
    let before = sched::own_affinity()
        .at("clone", "sched_getaffinity", "", || "cannot see the CPUs that the runtime may use".into())?;
    affinity(cpus).map(|()| before)
}

fn affinity(cpus: &CpuSet) -> Result<(), Fault> {
    let pointer = "/process/execCPUAffinity/initial";
    sched::set_affinity(cpus)
        .at("clone", "sched_setaffinity", "", || format!("config.json: {pointer}: cannot run on these CPUs"))
        .map_err(|fault| fault.detail(|d| d.pointer = Some(pointer.to_owned())))
}

/// Until the program is being executed.
fn attend(channel: &Channel, created: &Created, record: &Record, agent: Option<&Agent>) -> Result<(), Fault> {
    loop {
        match channel.receive().at("sync", "recv", "", || "the process cannot be heard".into())? {
            None => return Ok(()),
            Some(Message::Listener(number)) => {
                let (pid, state) = (created.pid.as_raw_nonzero().get(), record.state_as(Status::Running));
                notify::serve(channel, &created.pidfd, number, agent, pid, &state)?;
            }
            Some(Message::Failed(fault)) => return Err(fault),
            Some(other) => {
                return Err(Fault::new(Layer::OciRuntime, "sync", format!("the child said {other:?} out of turn")));
            }
        }
    }
}

fn agent(folder: &Path) -> Result<Option<Agent>, Fault> {
    Ok(Record::seccomp(folder)?.as_ref().and_then(Agent::of))
}

/// The child has said why it cannot go on, and ends; where this side cannot go on, it is ended.
fn reaped(created: Created, fault: Fault) -> Fault {
    let killed = match plimsoll_sys::process::signal(&created.pidfd, rustix::process::Signal::KILL.as_raw()) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other,
    };
    match killed.and_then(|()| plimsoll_sys::process::wait(created.pid)) {
        Ok(_) => fault,
        Err(error) => fault.why(format!("waiting for the process failed: {error}")),
    }
}

fn runnable(status: Status, ignore_paused: bool) -> bool {
    match status {
        Status::Running | Status::Created => true,
        Status::Paused => ignore_paused,
        Status::Creating | Status::Stopped => false,
    }
}

fn not_running(record: &Record, folder: &Path) -> Fault {
    let status = record.status(folder);
    let what = match status {
        Status::Paused => "cannot exec in a paused container".to_owned(),
        _ => format!("cannot exec in a {status} container: container not running"),
    };
    Fault::new(Layer::OciRuntime, "exec", what).kind(Kind::FailedPrecondition)
}

fn terminal_agrees(process: &ProcessPlan, request: &ExecRequest<'_>) -> Result<(), Fault> {
    match (process.terminal, matches!(request.stdio, Stdio::Console { .. })) {
        (true, false) => Err(Fault::invalid("plan", "/process/terminal: true needs a console socket")),
        (false, true) => Err(Fault::invalid("plan", "a console socket was given, but /process/terminal is false")),
        _ => Ok(()),
    }
}

/// The container's folders, or groups below them.
fn cgroup_folders(record: &Record, below: &[(String, String)]) -> Result<Vec<PathBuf>, Fault> {
    let has = |controllers: &str, one: &str| controllers.split(',').any(|known| known == one);
    if !below.is_empty() && record.cgroups.is_empty() {
        return Err(Fault::invalid("plan", "--cgroup: the container has no cgroup"));
    }
    for (controller, path) in below {
        let plain = Path::new(path.trim_start_matches('/')).components().all(|c| matches!(c, Component::Normal(_)));
        if !plain {
            return Err(Fault::invalid("plan", format!("--cgroup: {path:?} is not below the container's cgroup")));
        }
        if !controller.is_empty() && !record.cgroups.iter().any(|(controllers, _)| has(controllers, controller)) {
            return Err(Fault::invalid("plan", format!("--cgroup: the container has no controller {controller:?}")));
        }
    }
    let one = |(controllers, path): &(String, PathBuf)| {
        let sub = below.iter().find(|(controller, _)| controller.is_empty() || has(controllers, controller));
        sub.map_or_else(|| path.clone(), |(_, sub)| path.join(sub.trim_start_matches('/')))
    };
    Ok(record.cgroups.iter().map(one).collect())
}
