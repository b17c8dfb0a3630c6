//! CreateContainer. The request repeats the sandbox's configuration; the one that the sandbox was run with is in force.

use super::required;
use crate::convert::container;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container::{CreateRequest, create};
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{CreateContainerRequest, CreateContainerResponse};

pub(crate) async fn create_container(
    cri: Cri,
    request: CreateContainerRequest,
) -> Result<CreateContainerResponse, Fault> {
    let sandbox = required("pod_sandbox_id", &request.pod_sandbox_id)?.to_owned();
    let config = request.config.ok_or_else(|| Fault::invalid("request", "config is missing"))?;
    let config = container::config(config)?;
    let container_id = create(cri.core(), CreateRequest { namespace: NAMESPACE.to_owned(), sandbox, config }).await?;
    Ok(CreateContainerResponse { container_id })
}
