//! ContainerStats.

use super::required;
use crate::convert::stats;
use crate::{Cri, NAMESPACE};
use plimsoll_core::container;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{ContainerStatsRequest, ContainerStatsResponse};

pub(crate) async fn container_stats(cri: Cri, request: ContainerStatsRequest) -> Result<ContainerStatsResponse, Fault> {
    let id = required("container_id", &request.container_id)?;
    let figures = container::stats(cri.core(), NAMESPACE, id).await?;
    Ok(ContainerStatsResponse { stats: Some(stats::container(figures)) })
}
