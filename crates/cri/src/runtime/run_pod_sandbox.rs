//! RunPodSandbox.

use crate::convert::pod;
use crate::{Cri, NAMESPACE};
use plimsoll_core::sandbox::{self, RunRequest};
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{RunPodSandboxRequest, RunPodSandboxResponse};

pub(crate) async fn run_pod_sandbox(cri: Cri, request: RunPodSandboxRequest) -> Result<RunPodSandboxResponse, Fault> {
    let config = request.config.ok_or_else(|| Fault::invalid("request", "config is missing"))?;
    let request =
        RunRequest { namespace: NAMESPACE.to_owned(), config: pod::config(config)?, handler: request.runtime_handler };
    let pod_sandbox_id = sandbox::run(cri.core(), request).await?;
    Ok(RunPodSandboxResponse { pod_sandbox_id })
}
