//! The child of `exec`: born into the container's pid namespace, joins the rest by one setns of the init's pidfd.

use super::{become_user, begin, console, fail, keyring, oom_score, stdio};
use crate::Stdio;
use crate::fault::At;
use crate::plan::ProcessPlan;
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
    pub process: ProcessPlan,
    pub seccomp: Option<Filter>,
    pub tasks: Vec<OwnedFd>,
    pub stdio: Stdio,
    pub preserve_fds: u32,
}

/// Never returns: the program is executed, or the fault is sent and the process ends.
pub(crate) fn exec(token: &SingleThread, exec: Exec<'_>, channel: &Channel) -> ! {
    match run(token, exec) {
        Ok(never) => match never {},
        Err(fault) => fail(channel, fault),
    }
}

fn run(token: &SingleThread, exec: Exec<'_>) -> Result<Infallible, Fault> {
    let Exec { id, init, process, seccomp, tasks, stdio, preserve_fds } = exec;
    let proc = begin(tasks)?;
    oom_score(&proc, &process)?;
    drop(proc);
    let all =
        Namespaces::MOUNT.with(Namespaces::NET).with(Namespaces::UTS).with(Namespaces::IPC).with(Namespaces::CGROUP);
    ns::join(token, &init, all).at("namespace", "setns", "", || "cannot enter the container".into())?;
    keyring(id)?;
    let console = match &stdio {
        Stdio::Console { .. } => {
            let root = RootDir::open(Path::new("/")).at("console", "open", "/", || "cannot open the rootfs".into())?;
            console::open(&root, &process, &stdio)?
        }
        _ => None,
    };
    stdio::install(stdio, console)?;
    let program = become_user(&process, seccomp.as_ref(), preserve_fds)?;
    program.execute(process.no_new_privileges.then_some(seccomp.as_ref()).flatten())
}
