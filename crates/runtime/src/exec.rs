//! `exec`: one more process in a running container.

use crate::{Created, Root, Stdio};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::Process;
use plimsoll_sys::SingleThread;
use std::path::Path;

/// What to run and where.
#[derive(Debug)]
pub struct ExecRequest<'a> {
    pub id: &'a str,
    /// Complete: nothing is taken from the container's own process. See [`crate::container_process`] for a template.
    pub process: Process,
    pub stdio: Stdio,
    /// Gets the decimal pid without newline, atomically, once the process runs.
    pub pid_file: Option<&'a Path>,
    /// A cgroup below the container's own.
    pub cgroup: Option<&'a str>,
    pub preserve_fds: u32,
    /// Run in a paused container all the same (the process stays frozen until it is resumed).
    pub ignore_paused: bool,
}

impl<'a> ExecRequest<'a> {
    /// A request with everything optional left out and the caller's own stdio.
    pub fn new(id: &'a str, process: Process) -> Self {
        Self { id, process, stdio: Stdio::Inherit, pid_file: None, cgroup: None, preserve_fds: 0, ignore_paused: false }
    }
}

/// Runs a process in the namespaces, cgroup and seccomp filter of the container and returns once its program is being
/// executed (or with the fault that prevented it). The process is a direct child of the caller.
pub fn exec(token: &SingleThread, root: &Root, request: ExecRequest<'_>) -> Result<Created, Fault> {
    let _ = (token, root, request);
    Err(Fault::new(Layer::OciRuntime, "exec", "exec is not there yet").kind(Kind::Unimplemented))
}
