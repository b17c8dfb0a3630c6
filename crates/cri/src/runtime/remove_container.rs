//! RemoveContainer.

use super::required;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{RemoveContainerRequest, RemoveContainerResponse};

pub(crate) async fn remove_container(
    cri: Cri,
    request: RemoveContainerRequest,
) -> Result<RemoveContainerResponse, Fault> {
    let id = required("container_id", &request.container_id)?;
    container::remove(cri.core(), NAMESPACE, id).await?;
    Ok(RemoveContainerResponse {})
}
