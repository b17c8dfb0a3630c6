//! StartContainer.

use super::required;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{StartContainerRequest, StartContainerResponse};

pub(crate) async fn start_container(cri: Cri, request: StartContainerRequest) -> Result<StartContainerResponse, Fault> {
    let id = required("container_id", &request.container_id)?;
    container::start(cri.core(), NAMESPACE, id).await?;
    Ok(StartContainerResponse {})
}
