//! The calls of the Task service.

use super::convert;
use super::{QUICK, Shim, TaskVersion};
use plimsoll_fault::Result;
use plimsoll_proto::shim::{service, task as wire, task_types, type_url};
use plimsoll_spec::mount::MountDescription;
use prost::Message;
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime};

/// Where a process's standard streams go: "" is none, an absolute path or `fifo://` a FIFO, `file://` a file that is
/// appended to, `cri-log://` a CRI log (give the same URI for stdout and stderr: they share one writer).
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Stdio {
    pub stdin: String,
    pub stdout: String,
    pub stderr: String,
    pub terminal: bool,
}

/// containerd.runc.v1.Options, as far as we set them.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct TaskOptions {
    /// State root of the OCI runtime; empty is the shim's default.
    pub root: String,
    /// The OCI runtime to run; empty is the one linked into the shim.
    pub binary_name: String,
    pub systemd_cgroup: bool,
    pub no_pivot_root: bool,
}

#[derive(Clone, Debug)]
pub struct CreateTask<'a> {
    pub id: &'a str,
    pub bundle: &'a Path,
    /// Mounted on the bundle's `rootfs`; empty when it is mounted already.
    pub rootfs: &'a [MountDescription],
    pub stdio: &'a Stdio,
    pub options: &'a TaskOptions,
}

#[derive(Clone, Debug)]
pub struct ExecTask<'a> {
    pub id: &'a str,
    pub exec_id: &'a str,
    /// An OCI `Process` as JSON.
    pub process: &'a [u8],
    pub stdio: &'a Stdio,
}

/// How a process ended. `code` is 128 + signal for a process that a signal ended.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Exit {
    pub code: u32,
    /// `None` when the shim gives no time.
    pub at: Option<SystemTime>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum ProcessStatus {
    Unknown,
    Created,
    Running,
    Stopped,
    Paused,
    Pausing,
}

#[derive(Clone, Debug)]
pub struct TaskState {
    pub pid: u32,
    pub status: ProcessStatus,
    pub bundle: PathBuf,
    /// Set when `status` is stopped.
    pub exit: Option<Exit>,
}

impl Shim {
    /// Makes the container; its process waits for [`Shim::start`]. Returns its pid.
    pub async fn create_task(&self, request: CreateTask<'_>) -> Result<u32> {
        let message = wire::CreateTaskRequest {
            id: request.id.to_owned(),
            bundle: request.bundle.to_string_lossy().into_owned(),
            rootfs: convert::mounts(request.rootfs),
            terminal: request.stdio.terminal,
            stdin: request.stdio.stdin.clone(),
            stdout: request.stdio.stdout.clone(),
            stderr: request.stdio.stderr.clone(),
            options: Some(convert::options(request.options)),
            ..Default::default()
        };
        let answer: wire::CreateTaskResponse = self.task("Create", &message, Some(self.work)).await?;
        Ok(answer.pid)
    }

    /// Runs the container's process, or with an `exec_id` that of [`Shim::exec`]. Returns its pid.
    pub async fn start(&self, id: &str, exec_id: &str) -> Result<u32> {
        let message = wire::StartRequest { id: id.to_owned(), exec_id: exec_id.to_owned() };
        let answer: wire::StartResponse = self.task("Start", &message, Some(self.work)).await?;
        Ok(answer.pid)
    }

    /// Adds a process to the container; [`Shim::start`] runs it.
    pub async fn exec(&self, request: ExecTask<'_>) -> Result<()> {
        let message = wire::ExecProcessRequest {
            id: request.id.to_owned(),
            exec_id: request.exec_id.to_owned(),
            terminal: request.stdio.terminal,
            stdin: request.stdio.stdin.clone(),
            stdout: request.stdio.stdout.clone(),
            stderr: request.stdio.stderr.clone(),
            spec: Some(prost_types::Any {
                type_url: type_url::OCI_PROCESS.to_owned(),
                value: request.process.to_vec(),
            }),
        };
        self.task("Exec", &message, Some(QUICK)).await
    }

    /// `all` reaches every process of the container.
    pub async fn kill(&self, id: &str, exec_id: &str, signal: u32, all: bool) -> Result<()> {
        let message = wire::KillRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), signal, all };
        self.task("Kill", &message, Some(self.work)).await
    }

    /// Forgets a process that has ended, and with an empty `exec_id` removes the container. Returns how it ended.
    pub async fn delete(&self, id: &str, exec_id: &str) -> Result<Exit> {
        let message = wire::DeleteRequest { id: id.to_owned(), exec_id: exec_id.to_owned() };
        let answer: wire::DeleteResponse = self.task("Delete", &message, Some(self.work)).await?;
        Ok(Exit { code: answer.exit_status, at: convert::time(answer.exited_at) })
    }

    /// Resolves when the process has ended; at once when it has already. No deadline: fails only with the connection.
    pub async fn wait(&self, id: &str, exec_id: &str) -> Result<Exit> {
        let message = wire::WaitRequest { id: id.to_owned(), exec_id: exec_id.to_owned() };
        let answer: wire::WaitResponse = self.task("Wait", &message, None).await?;
        Ok(Exit { code: answer.exit_status, at: convert::time(answer.exited_at) })
    }

    pub async fn state(&self, id: &str, exec_id: &str) -> Result<TaskState> {
        let message = wire::StateRequest { id: id.to_owned(), exec_id: exec_id.to_owned() };
        let answer: wire::StateResponse = self.task("State", &message, Some(QUICK)).await?;
        let status = status(answer.status());
        let exit = Exit { code: answer.exit_status, at: convert::time(answer.exited_at) };
        Ok(TaskState {
            pid: answer.pid,
            status,
            bundle: PathBuf::from(answer.bundle),
            exit: (status == ProcessStatus::Stopped).then_some(exit),
        })
    }

    /// Every process in the container's cgroup, as pids of the shim's PID namespace.
    pub async fn pids(&self, id: &str) -> Result<Vec<u32>> {
        let answer: wire::PidsResponse =
            self.task("Pids", &wire::PidsRequest { id: id.to_owned() }, Some(QUICK)).await?;
        Ok(answer.processes.iter().map(|process| process.pid).collect())
    }

    /// The metrics as the shim gives them: type URL and encoded message.
    pub async fn stats(&self, id: &str) -> Result<Option<(String, Vec<u8>)>> {
        let answer: wire::StatsResponse =
            self.task("Stats", &wire::StatsRequest { id: id.to_owned() }, Some(QUICK)).await?;
        Ok(answer.stats.map(|any| (any.type_url, any.value)))
    }

    pub async fn resize_pty(&self, id: &str, exec_id: &str, width: u32, height: u32) -> Result<()> {
        let message = wire::ResizePtyRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), width, height };
        self.task("ResizePty", &message, Some(QUICK)).await
    }

    pub async fn close_stdin(&self, id: &str, exec_id: &str) -> Result<()> {
        let message = wire::CloseIoRequest { id: id.to_owned(), exec_id: exec_id.to_owned(), stdin: true };
        self.task("CloseIO", &message, Some(QUICK)).await
    }

    pub async fn pause(&self, id: &str) -> Result<()> {
        self.task("Pause", &wire::PauseRequest { id: id.to_owned() }, Some(self.work)).await
    }

    pub async fn resume(&self, id: &str) -> Result<()> {
        self.task("Resume", &wire::ResumeRequest { id: id.to_owned() }, Some(self.work)).await
    }

    /// New limits. `resources`: `linux.resources` of an OCI spec as JSON; what it does not name stays.
    pub async fn update(&self, id: &str, resources: Vec<u8>) -> Result<()> {
        let resources = Some(prost_types::Any { type_url: type_url::OCI_RESOURCES.to_owned(), value: resources });
        let message = wire::UpdateTaskRequest { id: id.to_owned(), resources, annotations: Default::default() };
        self.task("Update", &message, Some(self.work)).await
    }

    /// The shim's own pid.
    pub async fn pid(&self, id: &str) -> Result<u32> {
        let answer: wire::ConnectResponse =
            self.task("Connect", &wire::ConnectRequest { id: id.to_owned() }, Some(QUICK)).await?;
        Ok(answer.shim_pid)
    }

    /// Ends the shim, if it keeps nothing any more or `now`, and the connection.
    pub async fn shutdown(&self, id: &str, now: bool) -> Result<()> {
        let () = self.task("Shutdown", &wire::ShutdownRequest { id: id.to_owned(), now }, Some(QUICK)).await?;
        self.client.hang_up().await;
        Ok(())
    }

    async fn task<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
        deadline: Option<Duration>,
    ) -> Result<A> {
        let name = match self.version {
            TaskVersion::V2 => service::TASK_V2,
            TaskVersion::V3 => service::TASK_V3,
        };
        self.client.call(name, method, request, deadline).await
    }
}

fn status(status: task_types::Status) -> ProcessStatus {
    match status {
        task_types::Status::Unknown => ProcessStatus::Unknown,
        task_types::Status::Created => ProcessStatus::Created,
        task_types::Status::Running => ProcessStatus::Running,
        task_types::Status::Stopped => ProcessStatus::Stopped,
        task_types::Status::Paused => ProcessStatus::Paused,
        task_types::Status::Pausing => ProcessStatus::Pausing,
    }
}
