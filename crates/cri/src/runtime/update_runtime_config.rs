//! UpdateRuntimeConfig: kubelet tells the node's pod CIDR. CNI configurations are complete as they are on this node, so
//! there is nothing to fill in; the value is only logged.

use crate::Cri;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{UpdateRuntimeConfigRequest, UpdateRuntimeConfigResponse};

pub(crate) async fn update_runtime_config(
    _: Cri,
    request: UpdateRuntimeConfigRequest,
) -> Result<UpdateRuntimeConfigResponse, Fault> {
    let network = request.runtime_config.and_then(|config| config.network_config);
    tracing::info!(pod_cidr = network.map(|network| network.pod_cidr), "told the pod CIDR; CNI configurations rule");
    Ok(UpdateRuntimeConfigResponse {})
}
