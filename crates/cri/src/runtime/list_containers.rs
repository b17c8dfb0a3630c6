//! ListContainers.

use crate::convert::container;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container::list;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{ListContainersRequest, ListContainersResponse};

pub(crate) async fn list_containers(cri: Cri, request: ListContainersRequest) -> Result<ListContainersResponse, Fault> {
    let filter = request.filter.map(container::filter).transpose()?.unwrap_or_default();
    let found = list(cri.core(), NAMESPACE, &filter)?;
    Ok(ListContainersResponse { containers: found.into_iter().map(container::listed).collect() })
}
