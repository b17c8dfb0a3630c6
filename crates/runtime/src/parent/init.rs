//! `create` and `run` up to the point where the container's init waits: one straight path.

use super::cgroup::{self, Cgroup};
use super::filter::{self, HandedOver};
use super::loopback;
use super::lsm;
use super::rdt::{self, Rdt};
use super::sources::Sources;
use super::spawn::{PidNamespace, spawn, spawn_inside};
use super::talk::{Needs, await_ready, died};
use super::undo::{Rollback, Undo, remove_groups};
use super::users;
use crate::bundle::Bundle;
use crate::child::{self, Gate};
use crate::fault::{At, Os};
use crate::plan::Plan;
use crate::record::{CONFIG_FILE, Record, START_SOCKET, process_start, write_atomic};
use crate::sync::{Channel, Message};
use crate::systemd::UnitPlan;
use crate::{CreateRequest, Created, Root, readiness};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::Spec;
use plimsoll_sys::process::{Fork, Namespaces};
use plimsoll_sys::{SingleThread, file};
use rustix::io::Errno;
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use rustix::process::Pid;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};

/// How the init is to be released.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Release {
    /// By `start`, later, over a socket in the state folder.
    Start,
    /// By this process, over the channel.
    Channel,
}

/// An init that waits, and the channel over which `run` releases it.
#[derive(Debug)]
pub(crate) struct Waiting {
    pub created: Created,
    pub channel: Channel,
    pub record: Record,
    /// Of one that was released ahead and no longer waits: the file of its record.
    pub released: Option<OwnedFd>,
}

/// Makes the container. On a fault nothing is left.
pub(crate) fn make(
    token: &SingleThread,
    root: &Root,
    bundle: Bundle,
    request: CreateRequest<'_>,
    release: Release,
) -> Result<Waiting, Fault> {
    let id = request.id.to_owned();
    let mut rollback = Rollback::default();
    match steps(token, root, bundle, request, release, &mut rollback) {
        Ok(waiting) => {
            rollback.keep();
            Ok(waiting)
        }
        Err(fault) => Err(rollback.undo(fault).in_container(&id)),
    }
}

fn steps(
    token: &SingleThread,
    root: &Root,
    bundle: Bundle,
    request: CreateRequest<'_>,
    release: Release,
    rollback: &mut Rollback,
) -> Result<Waiting, Fault> {
    let folder = root.folder(request.id)?;
    let Bundle { path: bundle, config, spec } = bundle;
    let plan = decide(root, spec, &bundle, &request)?;
    let unit = request.systemd_cgroup.then(|| scope(&plan, request.id)).transpose()?;
    make_folder(&folder, request.id)?;
    rollback.push(Undo::StateFolder(folder.clone()));
    // A creator that is killed from here on leaves enough for `delete --force`.
    file::write(&folder.join(CONFIG_FILE), &config)
        .at("save", "write", &folder, || "cannot keep the container's config".into())?;
    let readiness = request.notify.then(|| readiness::make(&folder)).transpose()?;
    let sources = Sources::open(token, &plan)?;
    let mut cgroup = match &unit {
        None => make_cgroup(root, &plan, &folder, request.id, rollback)?,
        Some(scope) => {
            rollback.push(Undo::Unit(scope.unit.clone()));
            Cgroup::default()
        }
    };
    let listener = (release == Release::Start).then(|| listen(&folder)).transpose()?;
    let (ours, theirs) = Channel::pair().at("clone", "socketpair", "", || "cannot make a channel".into())?;
    let (give, take) = filter::channel(&plan)?;
    let rdt = rdt::make(plan.rdt.as_ref(), request.id, rollback)?;
    let mut tasks = cgroup.tasks()?;
    tasks.extend(rdt::tasks(rdt.as_ref())?);
    let v2 = cgroup.v2_folder()?;
    let privileged = users::privileged();
    let (child, pidfd) = match spawn_init(token, &plan, &sources, v2.as_ref().map(AsFd::as_fd))? {
        Fork::Parent { child, pidfd } => (child, pidfd),
        Fork::Child => {
            // A folder of the host must not be reachable through /proc/self/fd when the program is looked up.
            drop((ours, v2, give, readiness));
            let gate = listener.map_or(Gate::Channel, Gate::Listener);
            let placed_by_systemd = unit.is_some();
            let init = child::Init { plan, sources, tasks, placed_by_systemd, request, gate, filter: take, privileged };
            child::init(token, init, theirs)
        }
    };
    let kept = rustix::io::fcntl_dupfd_cloexec(&pidfd, 3)
        .at("clone", "fcntl", "", || "cannot keep the container's pidfd".into())?;
    rollback.push(Undo::Child(child, kept));
    drop((theirs, listener, tasks, v2, take));
    if loopback::is_ours(&plan) {
        loopback::up(token, &pidfd)?;
    }
    if let Some(scope) = &unit {
        cgroup = Cgroup::placed(scope, child, &plan)?;
        let sent = ours.send(&Message::Placed);
        sent.at("sync", "send", "", || "the container's process does not listen".into())?;
    }
    users::settle(token, &plan, child, &sources, &ours)?;
    let filter = filter::hand_over(&plan, &config, give)?;
    let ahead = release == Release::Channel && nothing_between(&plan, filter.as_ref(), &request);
    let net_devices = sources.net_devices;
    drop((sources.trees, sources.namespaces, sources.own_pid));
    let needs = Needs {
        child,
        pidfd: &pidfd,
        agent: filter.as_ref().and_then(|f| f.agent.as_ref()),
        net_devices: &net_devices,
    };
    let record = record(&plan, &request, &bundle, child, &cgroup, rdt)?;
    record.draft(&folder)?;
    if !plan.mounts_device() {
        limit_devices(root, &cgroup, &plan)?;
    }
    if !record.hooks.poststop.is_empty() {
        rollback.push_last(Undo::Poststop(Box::new(record.clone())));
    }
    let released = ahead.then(|| Record::hold(&folder)).transpose()?;
    if ahead {
        release_ahead(&ours)?;
    }
    await_ready(&ours, &record, &needs)?;
    if plan.mounts_device() {
        limit_devices(root, &cgroup, &plan)?;
    }
    filter.as_ref().map_or(Ok(()), |filter| filter.keep(&folder))?;
    Record::publish(&folder)?;
    released.as_ref().map_or(Ok(()), Record::let_go)?;
    tell(&request, child, &pidfd)?;
    let created = Created { pid: child, pidfd, readiness, published: None };
    Ok(Waiting { created, channel: ours, record, released })
}

fn tell(request: &CreateRequest<'_>, child: Pid, pidfd: &OwnedFd) -> Result<(), Fault> {
    if let Some(path) = request.pid_file {
        write_pid(path, child)?;
    }
    match &request.pidfd_socket {
        Some(socket) => send_pidfd(socket, "standard", pidfd),
        None => Ok(()),
    }
}

/// Whether this side has nothing to answer and nothing to do between the moment when the init is ready and its release. Then it
/// is released ahead, and need not wait for a wake from one processor to another and back: 0.1 to 0.6 ms when they sleep.
fn nothing_between(plan: &Plan, filter: Option<&HandedOver>, request: &CreateRequest<'_>) -> bool {
    // One of them may ask for the container's state, and would wait for us.
    let hooks = &plan.hooks;
    let hooks = [&hooks.prestart, &hooks.create_runtime, &hooks.create_container, &hooks.start_container];
    let listens = filter.is_some_and(|filter| filter.listens);
    let told = request.pid_file.is_some() || request.pidfd_socket.is_some();
    hooks.iter().all(|hooks| hooks.is_empty())
        && !plan.mounts_device()
        && plan.net_devices.is_empty()
        && !listens
        && !told
}

/// Until the program is being executed or the child has failed.
fn release_ahead(channel: &Channel) -> Result<(), Fault> {
    match channel.send(&Message::Execute) {
        // It has failed already, and what it said of that is still to be read.
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET | Errno::CONNREFUSED) => {}
        Err(error) => return Err(error).at("sync", "send", "", || "the container's process does not listen".into()),
    }
    channel.await_close().at("sync", "poll", "", || "the container's process cannot be heard".into())
}

/// Everything that can be refused without making anything.
fn decide(root: &Root, mut spec: Spec, bundle: &Path, request: &CreateRequest<'_>) -> Result<Plan, Fault> {
    if request.notify {
        readiness::give(&mut spec, &root.folder(request.id)?);
    }
    let mut plan = Plan::new(spec, bundle)?;
    plan.process.activated(request.listen_fds);
    terminal_agrees(&plan, request)?;
    lsm::check(&plan.process, "/process")?;
    lsm::check_mount_label(plan.mount_label.as_ref())?;
    plan.warnings.iter().for_each(|text| root.warn(text));
    Ok(plan)
}

fn spawn_init(token: &SingleThread, plan: &Plan, sources: &Sources, v2: Option<BorrowedFd<'_>>) -> Result<Fork, Fault> {
    // The cgroup namespace's root is the cgroup of its maker: it is made by the child after joining. A time namespace's
    // clocks are set before anybody is in it.
    let new = plan.namespaces.new.without(Namespaces::CGROUP).without(Namespaces::TIME);
    if plan.namespaces.by_go_between() {
        return spawn_inside(token, new, v2, |token| child::join_all(token, plan, sources));
    }
    spawn(token, new, joined_pid(sources), v2)
}

fn joined_pid(sources: &Sources) -> Option<PidNamespace<'_>> {
    let (_, target) = sources.namespaces.iter().find(|(kind, _)| *kind == Namespaces::PID)?;
    sources.own_pid.as_ref().map(|own| PidNamespace { target: target.as_fd(), own })
}

fn terminal_agrees(plan: &Plan, request: &CreateRequest<'_>) -> Result<(), Fault> {
    let console = matches!(request.stdio, crate::Stdio::Console { .. });
    match (plan.process.terminal, console) {
        (true, false) => Err(Fault::invalid("plan", "config.json: /process/terminal: true needs a console socket")),
        (false, true) => {
            Err(Fault::invalid("plan", "a console socket was given, but config.json: /process/terminal is false"))
        }
        _ => Ok(()),
    }
}

fn make_folder(folder: &Path, id: &str) -> Result<(), Fault> {
    match std::fs::DirBuilder::new().mode(0o700).create(folder) {
        Ok(()) => Ok(()),
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            Err(Fault::invalid("create", format!("container with id {id:?} already exists")).kind(Kind::AlreadyExists))
        }
        Err(error) => Err(Fault::new(Layer::OciRuntime, "create", "cannot make the container's state folder")
            .os("mkdir", folder, &error)),
    }
}

fn scope(plan: &Plan, id: &str) -> Result<UnitPlan, Fault> {
    let scope = UnitPlan::new(plan.cgroup_path.as_deref(), id, &plan.annotations)?;
    scope.unit.check_host()?;
    cgroup::check_scopes(&plan.resources)?;
    Ok(scope)
}

fn make_cgroup(root: &Root, plan: &Plan, folder: &Path, id: &str, rollback: &mut Rollback) -> Result<Cgroup, Fault> {
    let mut cgroup = Cgroup::default();
    let made = cgroup.make(plan, id);
    let own: Vec<PathBuf> = cgroup.folders.iter().map(|(_, path)| path.clone()).collect();
    // An own folder that was there before is somebody else's.
    let own: Vec<PathBuf> = own.into_iter().filter(|path| cgroup.made.contains(path)).collect();
    match made {
        Err(fault) if forbidden(&fault) && without_limits(plan) => {
            remove_groups(&own, &cgroup.made)
                .at("cgroup", "rmdir", "", || "cannot remove the half of a cgroup that could be made".into())?;
            root.warn(&format!("the container has no cgroup of its own: {fault}"));
            Ok(Cgroup::default())
        }
        made => {
            let all_own = !own.is_empty() && own.len() == cgroup.folders.len();
            rollback.push(Undo::Cgroups { own, made: cgroup.made.clone() });
            made?;
            if all_own {
                Record::own_cgroup(folder)?;
            }
            Ok(cgroup)
        }
    }
}

/// A program for devices needs CAP_BPF of the host.
fn limit_devices(root: &Root, cgroup: &Cgroup, plan: &Plan) -> Result<(), Fault> {
    match cgroup.limit_devices(plan) {
        Err(fault) if forbidden(&fault) => {
            root.warn(&fault.to_string());
            Ok(())
        }
        other => other,
    }
}

/// Cgroups that nobody has delegated to an ordinary user.
fn forbidden(fault: &Fault) -> bool {
    let denied = [Errno::ACCESS, Errno::PERM, Errno::ROFS].map(|errno| Some(errno.raw_os_error()));
    denied.contains(&fault.details().errno) && users::rootless()
}

/// Device rules do not count: an ordinary user has no device that they could take away.
fn without_limits(plan: &Plan) -> bool {
    plimsoll_spec::runtime::Resources { devices: Vec::new(), ..plan.resources.clone() } == Default::default()
}

/// The socket at which `start` will knock. Bound through `/proc/self/fd`: the path may be longer than a sun_path.
fn listen(folder: &Path) -> Result<OwnedFd, Fault> {
    let what = || "cannot make the start socket".to_owned();
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .at("create", "socket", folder, what)?;
    let address = start_address(folder, what)?;
    rustix::net::bind(&socket, &address.1).at("create", "bind", folder, what)?;
    rustix::net::listen(&socket, 1).at("create", "listen", folder, what)?;
    Ok(socket)
}

/// The address of the start socket, and the folder descriptor that keeps it valid.
pub(crate) fn start_address(folder: &Path, what: impl Fn() -> String) -> Result<(OwnedFd, SocketAddrUnix), Fault> {
    use rustix::fs::{Mode, OFlags};
    let dir = rustix::fs::open(folder, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())
        .at("create", "open", folder, &what)?;
    let path = format!("/proc/self/fd/{}/{START_SOCKET}", dir.as_raw_fd());
    let address = SocketAddrUnix::new(path.as_str()).at("create", "sockaddr", folder, &what)?;
    Ok((dir, address))
}

fn record(
    plan: &Plan,
    request: &CreateRequest<'_>,
    bundle: &Path,
    child: Pid,
    cgroup: &Cgroup,
    rdt: Option<Rdt>,
) -> Result<Record, Fault> {
    let pid = child.as_raw_nonzero().get();
    let (start_time, _) = process_start(pid).ok_or_else(died)?;
    Ok(Record {
        id: request.id.to_owned(),
        pid,
        start_time,
        created: crate::time::now_rfc3339(),
        bundle: bundle.to_owned(),
        rootfs: plan.rootfs.clone(),
        annotations: plan.annotations.clone(),
        cgroups: cgroup.folders.clone(),
        own_pid_namespace: plan.namespaces.new.has(Namespaces::PID),
        namespaces: plan.namespaces.all().bits(),
        hooks: plan.hooks.clone(),
        domain: plan.domain.clone(),
        rdt,
        made: cgroup.made.clone(),
        unit: cgroup.unit.clone(),
        resources: None,
    })
}

/// The pid file appears whole: written beside and renamed.
pub(crate) fn write_pid(path: &Path, pid: Pid) -> Result<(), Fault> {
    write_atomic(path, pid.as_raw_nonzero().to_string().as_bytes())
        .at("save", "write", path, || format!("cannot write the pid file {}", path.display()))
}

/// Gives the pidfd away, with the payload by which runc's receivers know what it is of.
pub(crate) fn send_pidfd(socket: &OwnedFd, of: &str, pidfd: &OwnedFd) -> Result<(), Fault> {
    plimsoll_sys::message::send_fd(socket, of.as_bytes(), pidfd.as_fd())
        .at("save", "sendmsg", "", || "cannot send the pidfd to its socket".into())
}
