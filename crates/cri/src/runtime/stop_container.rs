//! StopContainer.

use super::required;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{StopContainerRequest, StopContainerResponse};
use std::time::Duration;

pub(crate) async fn stop_container(cri: Cri, request: StopContainerRequest) -> Result<StopContainerResponse, Fault> {
    let id = required("container_id", &request.container_id)?;
    // Zero and less: kill at once.
    let grace = Duration::from_secs(u64::try_from(request.timeout).unwrap_or(0));
    container::stop(cri.core(), NAMESPACE, id, grace).await?;
    Ok(StopContainerResponse {})
}
