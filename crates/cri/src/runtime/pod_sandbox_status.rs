//! PodSandboxStatus.

use super::{info, required};
use crate::convert::pod;
use crate::{Cri, NAMESPACE};
use plimsoll_core::sandbox;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{PodSandboxStatusRequest, PodSandboxStatusResponse};

pub(crate) async fn pod_sandbox_status(
    cri: Cri,
    request: PodSandboxStatusRequest,
) -> Result<PodSandboxStatusResponse, Fault> {
    let id = required("pod_sandbox_id", &request.pod_sandbox_id)?;
    let mut found = sandbox::status(cri.core(), NAMESPACE, id, request.verbose).await?;
    let facts = std::mem::take(&mut found.info);
    Ok(PodSandboxStatusResponse {
        status: Some(pod::status(found)),
        info: if request.verbose { info(facts) } else { Default::default() },
        // Both belong to evented PLEG, which needs GetContainerEvents.
        containers_statuses: Vec::new(),
        timestamp: 0,
    })
}
