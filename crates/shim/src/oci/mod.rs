//! The OCI runtime of a container: the one that is linked in, or any program that speaks runc's command line.

mod console;
mod program;
mod said;

use plimsoll_fault::{Fault, Layer};
use plimsoll_proto::shim::runc;
use plimsoll_runtime::{Bundle, CreateRequest, ExecRequest, Root, Stdio};
use plimsoll_spec::runtime::Process;
use plimsoll_sys::SingleThread;
use program::Program;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::path::{Path, PathBuf};

/// Everything but `chosen` is called in a worker: a program may hang.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct Runtime {
    /// Where it keeps its state.
    #[serde(rename = "runtime_root")]
    root: PathBuf,
    /// `BinaryName`: a path, or a name to be found in `PATH`. `None`: the linked one.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    program: Option<PathBuf>,
    #[serde(default, skip_serializing_if = "std::ops::Not::not")]
    systemd_cgroup: bool,
    /// Absolute; it is kept there.
    #[serde(skip)]
    pub(crate) bundle: PathBuf,
}

impl Runtime {
    /// As containerd's callers choose it. Without a root of their own the containers of a namespace share a folder that is named
    /// after the program.
    pub(crate) fn chosen(options: &runc::Options, namespace: &str, bundle: &Path) -> Self {
        let program = (!options.binary_name.is_empty()).then(|| PathBuf::from(&options.binary_name));
        let name = program.as_deref().and_then(Path::file_name).unwrap_or("plimrun".as_ref());
        let root = match options.root.as_str() {
            "" => Path::new("/run").join(name).join(namespace),
            // containerd gives one root for all its namespaces.
            root => Path::new(root).to_owned(),
        };
        Self { root, program, systemd_cgroup: options.systemd_cgroup, bundle: bundle.to_owned() }
    }

    pub(crate) fn linked(root: PathBuf) -> Self {
        Self { root, program: None, systemd_cgroup: false, bundle: PathBuf::new() }
    }

    /// As it was kept in the bundle.
    pub(crate) fn of(self, bundle: &Path) -> Self {
        Self { bundle: bundle.to_owned(), ..self }
    }

    /// Makes the container and gives its init's pid.
    pub(crate) fn create(
        &self,
        token: &SingleThread,
        id: &str,
        bundle: Bundle,
        options: &runc::Options,
        stdio: Stdio,
    ) -> Result<i32, Fault> {
        let root = self.root()?;
        if let Some(program) = self.program() {
            return program.create(id, options, stdio);
        }
        let request = CreateRequest {
            stdio,
            no_pivot: options.no_pivot_root,
            no_new_keyring: options.no_new_keyring,
            systemd_cgroup: self.systemd_cgroup,
            ..CreateRequest::new(id)
        };
        Ok(plimsoll_runtime::create(token, &root, bundle, request)?.pid.as_raw_nonzero().get())
    }

    pub(crate) fn start(&self, id: &str) -> Result<(), Fault> {
        match self.program() {
            Some(program) => program.plain("start", id),
            None => plimsoll_runtime::start(&self.root()?, id),
        }
    }

    /// Runs `process` (an OCI `Process` as JSON) in the container and gives its pid.
    pub(crate) fn exec(&self, token: &SingleThread, id: &str, process: &[u8], stdio: Stdio) -> Result<i32, Fault> {
        let spec: Process = serde_json::from_slice(process)
            .map_err(|e| Fault::invalid("exec", "the process to exec cannot be read").because(&e))?;
        if let Some(program) = self.program() {
            return program.exec(id, process, stdio);
        }
        let request = ExecRequest { stdio, ..ExecRequest::new(id, spec) };
        Ok(plimsoll_runtime::exec(token, &self.root()?, request)?.pid.as_raw_nonzero().get())
    }

    /// To every process of the container.
    pub(crate) fn kill_all(&self, id: &str, signal: i32) -> Result<(), Fault> {
        match self.program() {
            Some(program) => program.kill_all(id, signal),
            None => plimsoll_runtime::kill(&self.root()?, id, signal, true),
        }
    }

    pub(crate) fn pause(&self, id: &str) -> Result<(), Fault> {
        match self.program() {
            Some(program) => program.plain("pause", id),
            None => plimsoll_runtime::pause(&self.root()?, id),
        }
    }

    pub(crate) fn resume(&self, id: &str) -> Result<(), Fault> {
        match self.program() {
            Some(program) => program.plain("resume", id),
            None => plimsoll_runtime::resume(&self.root()?, id),
        }
    }

    /// `resources`: an OCI `LinuxResources` as JSON.
    pub(crate) fn update(&self, id: &str, resources: &[u8]) -> Result<(), Fault> {
        let parsed = plimsoll_runtime::parse_resources(resources).map_err(|fault| fault.in_container(id))?;
        match self.program() {
            Some(program) => program.update(id, resources),
            None => plimsoll_runtime::update(&self.root()?, id, parsed, &[]),
        }
    }

    /// Whatever state it is in. One that is not there is deleted.
    pub(crate) fn delete(&self, id: &str) -> Result<(), Fault> {
        match self.program() {
            Some(program) => program.delete(id),
            None => plimsoll_runtime::delete(&self.root()?, id, true),
        }
    }

    /// Of the container's init.
    pub(crate) fn pid(&self, id: &str) -> Result<i32, Fault> {
        match self.program() {
            Some(program) => program.pid(id),
            None => Ok(plimsoll_runtime::state(&self.root()?, id)?.pid),
        }
    }

    /// Folders with the controllers of each, as [`plimsoll_runtime::cgroups`]. What a program made is known by its init alone.
    pub(crate) fn cgroups(&self, id: &str, init: Option<Pid>) -> Result<Vec<(String, PathBuf)>, Fault> {
        if self.program.is_none() {
            return plimsoll_runtime::cgroups(&self.root()?, id);
        }
        let found = init.map_or(Ok(Vec::new()), plimsoll_sys::cgroup::folders_of);
        found.map_err(|e| Fault::new(Layer::Shim, "stats", "cannot find the container's cgroups").because(&e))
    }

    fn root(&self) -> Result<Root, Fault> {
        Root::open(self.root.clone())
    }

    fn program(&self) -> Option<Program<'_>> {
        let file = self.program.as_deref()?;
        Some(Program { file, root: &self.root, systemd_cgroup: self.systemd_cgroup, bundle: &self.bundle })
    }
}
