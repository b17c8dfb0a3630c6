//! ContainerStatus.

use super::{info, required};
use crate::convert::container;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container::status;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{ContainerStatusRequest, ContainerStatusResponse};

pub(crate) async fn container_status(
    cri: Cri,
    request: ContainerStatusRequest,
) -> Result<ContainerStatusResponse, Fault> {
    let id = required("container_id", &request.container_id)?;
    let mut found = status(cri.core(), NAMESPACE, id, request.verbose).await?;
    let facts = std::mem::take(&mut found.info);
    Ok(ContainerStatusResponse {
        status: Some(container::status(found)),
        info: if request.verbose { info(facts) } else { Default::default() },
    })
}
