//! `create`: from a bundle to a container init that waits for `start`.

use crate::hooks::Place;
use crate::parent::init::{self, Release, Waiting};
use crate::parent::talk;
use crate::record::{Published, Record};
use crate::sync::Message;
use crate::{Bundle, Root, Stdio, delete, hooks};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::Status;
use plimsoll_sys::SingleThread;
use rustix::process::Pid;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// What `create` needs besides the [`Bundle`].
#[derive(Debug)]
pub struct CreateRequest<'a> {
    pub id: &'a str,
    pub stdio: Stdio,
    /// Gets the decimal pid without newline, atomically, after the container is created.
    pub pid_file: Option<&'a Path>,
    /// A connected unix stream socket that gets the init's pidfd (`SCM_RIGHTS`, payload `standard`) once it is created.
    pub pidfd_socket: Option<OwnedFd>,
    /// Keeps fds `3..3+preserve_fds` of the caller open in the container.
    pub preserve_fds: u32,
    /// How many of them are sockets of socket activation (sd_listen_fds(3)), the lowest: the container's process is told.
    pub listen_fds: u32,
    /// The container gets a socket at which its program can say that it is ready (sd_notify(3)).
    pub notify: bool,
    /// `MS_MOVE` + chroot in place of pivot_root, for a rootfs on the initial ramfs.
    pub no_pivot: bool,
    pub no_new_keyring: bool,
    /// The container's cgroup is a systemd scope (`cgroupsPath` is `slice:prefix:name`), made and removed by systemd.
    pub systemd_cgroup: bool,
}

impl<'a> CreateRequest<'a> {
    /// A request with everything optional left out and the caller's own stdio.
    pub fn new(id: &'a str) -> Self {
        Self {
            id,
            stdio: Stdio::Inherit,
            pid_file: None,
            pidfd_socket: None,
            preserve_fds: 0,
            listen_fds: 0,
            notify: false,
            no_pivot: false,
            no_new_keyring: false,
            systemd_cgroup: false,
        }
    }
}

/// A process that now exists as a child of the caller, who must reap it.
#[derive(Debug)]
pub struct Created {
    /// In the caller's pid namespace.
    pub pid: Pid,
    pub pidfd: OwnedFd,
    /// Of a request with `notify`.
    pub readiness: Option<UnixDatagram>,
    /// Of a program that [`run`] released ahead.
    pub(crate) published: Option<Box<Published>>,
}

/// Makes the container and returns with its init waiting for [`crate::start`]. The init is a direct child of the caller
/// (clone3): a forked worker that calls this and exits leaves it to the nearest subreaper. On a fault nothing is left
/// behind: no process, mount, cgroup or state.
pub fn create(token: &SingleThread, root: &Root, bundle: Bundle, request: CreateRequest<'_>) -> Result<Created, Fault> {
    Ok(init::make(token, root, bundle, request, Release::Start)?.created)
}

/// `create` and `start` in one: returns once the program is being executed. When it cannot be, everything is removed again.
pub fn run(token: &SingleThread, root: &Root, bundle: Bundle, request: CreateRequest<'_>) -> Result<Created, Fault> {
    let waiting = init::make(token, root, bundle, request, Release::Channel)?;
    let release = || talk::answer(&waiting.channel, &Message::Execute);
    let released = if waiting.released.is_some() { Ok(()) } else { release() };
    let executed = released.and_then(|()| talk::await_exec(&waiting.channel));
    match executed.and_then(|()| started(&waiting.record)) {
        Ok(()) => {
            let published = waiting.released.map(|file| Published::new(waiting.record, file));
            Ok(Created { published, ..waiting.created })
        }
        Err(fault) => Err(abandon(root, waiting, fault)),
    }
}

/// The program runs: poststart hooks. One that fails ends the container.
pub(crate) fn started(record: &Record) -> Result<(), Fault> {
    let place = Place::Runtime { bundle: &record.bundle };
    hooks::run(&record.hooks.poststart, "/hooks/poststart", &record.state_as(Status::Running), place)
}

/// The program could not be executed, or a hook wants the container gone.
fn abandon(root: &Root, waiting: Waiting, fault: Fault) -> Fault {
    let fault = fault.in_container(&waiting.record.id);
    let pidfd = &waiting.created.pidfd;
    let killed = match plimsoll_sys::process::signal(pidfd, rustix::process::Signal::KILL.as_raw()) {
        Err(rustix::io::Errno::SRCH) => Ok(()),
        other => other,
    };
    if let Err(error) = killed.and_then(|()| plimsoll_sys::process::wait(waiting.created.pid)) {
        return fault.why(format!("ending the init failed: {error}"));
    }
    match delete(root, &waiting.record.id, true) {
        Ok(()) => fault,
        Err(second) => fault.why(format!("removing the container failed: {second}")),
    }
}
