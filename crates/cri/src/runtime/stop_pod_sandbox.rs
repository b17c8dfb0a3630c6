//! StopPodSandbox.

use super::required;
use crate::{Cri, NAMESPACE};
use plimsoll_core::sandbox;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{StopPodSandboxRequest, StopPodSandboxResponse};

pub(crate) async fn stop_pod_sandbox(
    cri: Cri,
    request: StopPodSandboxRequest,
) -> Result<StopPodSandboxResponse, Fault> {
    let id = required("pod_sandbox_id", &request.pod_sandbox_id)?;
    sandbox::stop(cri.core(), NAMESPACE, id).await?;
    Ok(StopPodSandboxResponse {})
}
