//! ReopenContainerLog.

use super::required;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{ReopenContainerLogRequest, ReopenContainerLogResponse};

pub(crate) async fn reopen_container_log(
    cri: Cri,
    request: ReopenContainerLogRequest,
) -> Result<ReopenContainerLogResponse, Fault> {
    let id = required("container_id", &request.container_id)?;
    container::reopen_log(cri.core(), NAMESPACE, id).await?;
    Ok(ReopenContainerLogResponse {})
}
