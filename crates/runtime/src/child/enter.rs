//! The child of `exec`: born into the container's pid namespace, joins the rest by one setns of the init's pidfd.

use super::{become_user, begin, console, fail, keyring, lsm, scheduling, stdio, user};
use crate::Stdio;
use crate::fault::At;
use crate::parent::spawn::conceal;
use crate::parent::users;
use crate::plan::{Domain, ProcessPlan};
use crate::seccomp::Filter;
use crate::sync::Channel;
use plimsoll_fault::Fault;
use plimsoll_sys::process::Namespaces;
use plimsoll_sys::root::RootDir;
use plimsoll_sys::{SingleThread, ns};
use std::convert::Infallible;
use std::os::fd::OwnedFd;
use std::path::Path;

/// What the process is made of.
#[derive(Debug)]
pub(crate) struct Exec<'a> {
    pub id: &'a str,
    pub init: OwnedFd,
    /// What is still to be joined.
    pub join: Namespaces,
    pub process: ProcessPlan,
    pub domain: Domain,
    pub seccomp: Option<Filter>,
    pub tasks: Vec<OwnedFd>,
    pub stdio: Stdio,
    pub preserve_fds: u32,
}

/// Never returns: the program is executed, or the fault is sent and the process ends.
pub(crate) fn exec(token: &SingleThread, exec: Exec<'_>, channel: &Channel) -> ! {
    match run(token, exec, channel) {
        Ok(never) => match never {},
        Err(fault) => fail(channel, fault),
    }
}

fn run(token: &SingleThread, exec: Exec<'_>, channel: &Channel) -> Result<Infallible, Fault> {
    let Exec { id, init, join, process, domain, seccomp, tasks, stdio, preserve_fds } = exec;
    conceal()?;
    let proc = begin(tasks)?;
    // While the host's rights are there: a container's root may raise no priority.
    scheduling::affinity(&process.scheduling)?;
    scheduling::apply(&process.scheduling, &domain)?;
    lsm::on_exec(&proc, &process)?;
    if join.has(Namespaces::USER) {
        user::join(token, &init, join, &proc, &process)?;
    } else {
        users::oom_score(&proc, "self", &process)?;
        ns::join(token, &init, join).at("namespace", "setns", "", || "cannot enter the container".into())?;
    }
    keyring(id, &proc, &process)?;
    drop(proc);
    drop(init);
    let console = match &stdio {
        Stdio::Console { .. } => {
            let root = RootDir::open(Path::new("/")).at("console", "open", "/", || "cannot open the rootfs".into())?;
            console::open(&root, &process, &stdio)?
        }
        _ => None,
    };
    stdio::install(stdio, console)?;
    let (program, filter) = become_user(&process, seccomp.as_ref(), preserve_fds, channel, None)?;
    program.execute(filter)
}
