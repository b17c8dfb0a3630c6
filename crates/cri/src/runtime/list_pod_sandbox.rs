//! ListPodSandbox.

use crate::convert::pod;
use crate::{Cri, NAMESPACE};
use plimsoll_core::sandbox;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{ListPodSandboxRequest, ListPodSandboxResponse};

pub(crate) async fn list_pod_sandbox(
    cri: Cri,
    request: ListPodSandboxRequest,
) -> Result<ListPodSandboxResponse, Fault> {
    let filter = request.filter.map(pod::filter).transpose()?.unwrap_or_default();
    let found = sandbox::list(cri.core(), NAMESPACE, &filter)?;
    Ok(ListPodSandboxResponse { items: found.into_iter().map(pod::listed).collect() })
}
