//! ListContainerStats: of the containers that run.

use crate::convert::stats;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container::{self, ContainerState};
use plimsoll_fault::{Fault, Kind};
use plimsoll_proto::cri::{ListContainerStatsRequest, ListContainerStatsResponse};

pub(crate) async fn list_container_stats(
    cri: Cri,
    request: ListContainerStatsRequest,
) -> Result<ListContainerStatsResponse, Fault> {
    let filter = request.filter.map(stats::filter).unwrap_or_default();
    let mut figures = Vec::new();
    for found in container::list(cri.core(), NAMESPACE, &filter)? {
        if found.state != ContainerState::Running {
            continue;
        }
        match container::stats(cri.core(), NAMESPACE, &found.id).await {
            Ok(one) => figures.push(stats::container(one)),
            // It ended or was removed since it was listed.
            Err(fault) if matches!(fault.class(), Kind::NotFound | Kind::FailedPrecondition) => {}
            Err(fault) => return Err(fault),
        }
    }
    Ok(ListContainerStatsResponse { stats: figures })
}
