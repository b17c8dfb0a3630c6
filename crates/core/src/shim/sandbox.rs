//! The calls of the Sandbox service.

use super::{QUICK, Shim, WORK, convert};
use plimsoll_fault::Result;
use plimsoll_proto::shim::{extension, sandbox as wire, service, type_url};
use prost::Message;
use std::collections::BTreeMap;
use std::path::Path;
use std::time::{Duration, SystemTime};

/// What our shim is to make for a pod.
#[derive(Clone, Debug)]
pub struct SandboxRequest<'a> {
    pub id: &'a str,
    /// The folder given to [`super::Launcher::start`].
    pub bundle: &'a Path,
    /// Where `ipc`, `uts` and `pid` are pinned; made by the caller.
    pub ns_dir: &'a Path,
    /// The pod's network namespace; net sysctls are set in it. `None` is the host's.
    pub netns: Option<&'a Path>,
    /// Empty leaves the name of the host.
    pub hostname: &'a str,
    pub sysctls: &'a BTreeMap<String, String>,
    /// Kinds to make: "ipc", "uts", "pid".
    pub namespaces: &'a [&'a str],
}

#[derive(Clone, Debug)]
pub struct SandboxState {
    pub ready: bool,
    /// The process that keeps the sandbox; the shim's own for ours.
    pub pid: u32,
    pub created_at: Option<SystemTime>,
    pub exited_at: Option<SystemTime>,
    pub info: BTreeMap<String, String>,
}

impl Shim {
    /// Checks and records what is asked; [`Shim::start_sandbox`] makes it.
    pub async fn create_sandbox(&self, request: SandboxRequest<'_>) -> Result<()> {
        let options = extension::SandboxOptions {
            ns_dir: request.ns_dir.to_string_lossy().into_owned(),
            hostname: request.hostname.to_owned(),
            sysctls: request.sysctls.clone().into_iter().collect(),
            namespaces: request.namespaces.iter().map(|&kind| kind.to_owned()).collect(),
        };
        let message = wire::CreateSandboxRequest {
            sandbox_id: request.id.to_owned(),
            bundle_path: request.bundle.to_string_lossy().into_owned(),
            netns_path: request.netns.map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
            options: Some(prost_types::Any {
                type_url: type_url::SANDBOX_OPTIONS.to_owned(),
                value: options.encode_to_vec(),
            }),
            ..Default::default()
        };
        let _answer: wire::CreateSandboxResponse = self.sandbox("CreateSandbox", &message, Some(WORK)).await?;
        Ok(())
    }

    /// Makes and pins the namespaces. Returns the pid of the sandbox's process and when it was made.
    pub async fn start_sandbox(&self, id: &str) -> Result<(u32, Option<SystemTime>)> {
        let message = wire::StartSandboxRequest { sandbox_id: id.to_owned() };
        let answer: wire::StartSandboxResponse = self.sandbox("StartSandbox", &message, Some(WORK)).await?;
        Ok((answer.pid, convert::time(answer.created_at)))
    }

    /// Kills what still runs in it, after `timeout`, and unpins the namespaces.
    pub async fn stop_sandbox(&self, id: &str, timeout: Duration) -> Result<()> {
        let timeout_secs = u32::try_from(timeout.as_secs()).unwrap_or(u32::MAX);
        let message = wire::StopSandboxRequest { sandbox_id: id.to_owned(), timeout_secs };
        let limit = timeout.saturating_add(WORK);
        let _answer: wire::StopSandboxResponse = self.sandbox("StopSandbox", &message, Some(limit)).await?;
        Ok(())
    }

    pub async fn sandbox_status(&self, id: &str, verbose: bool) -> Result<SandboxState> {
        let message = wire::SandboxStatusRequest { sandbox_id: id.to_owned(), verbose };
        let answer: wire::SandboxStatusResponse = self.sandbox("SandboxStatus", &message, Some(QUICK)).await?;
        Ok(SandboxState {
            ready: answer.state == "SANDBOX_READY",
            pid: answer.pid,
            created_at: convert::time(answer.created_at),
            exited_at: convert::time(answer.exited_at),
            info: answer.info.into_iter().collect(),
        })
    }

    /// Stops the sandbox if that was not done, and ends the shim and the connection.
    pub async fn shutdown_sandbox(&self, id: &str) -> Result<()> {
        let message = wire::ShutdownSandboxRequest { sandbox_id: id.to_owned() };
        let _answer: wire::ShutdownSandboxResponse = self.sandbox("ShutdownSandbox", &message, Some(WORK)).await?;
        self.client.hang_up().await;
        Ok(())
    }

    pub async fn ping_sandbox(&self, id: &str) -> Result<()> {
        let message = wire::PingRequest { sandbox_id: id.to_owned() };
        let _answer: wire::PingResponse = self.sandbox("PingSandbox", &message, Some(QUICK)).await?;
        Ok(())
    }

    async fn sandbox<Q: Message, A: Message + Default>(
        &self,
        method: &str,
        request: &Q,
        deadline: Option<Duration>,
    ) -> Result<A> {
        self.client.call(service::SANDBOX, method, request, deadline).await
    }
}
