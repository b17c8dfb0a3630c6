//! RemovePodSandbox.

use super::required;
use crate::{Cri, NAMESPACE};
use plimsoll_core::sandbox;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{RemovePodSandboxRequest, RemovePodSandboxResponse};

pub(crate) async fn remove_pod_sandbox(
    cri: Cri,
    request: RemovePodSandboxRequest,
) -> Result<RemovePodSandboxResponse, Fault> {
    let id = required("pod_sandbox_id", &request.pod_sandbox_id)?;
    sandbox::remove(cri.core(), NAMESPACE, id).await?;
    Ok(RemovePodSandboxResponse {})
}
