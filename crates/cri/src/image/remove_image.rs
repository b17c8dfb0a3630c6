//! RemoveImage. What is not there is removed already.

use super::named;
use crate::{Cri, NAMESPACE};
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{RemoveImageRequest, RemoveImageResponse};

pub(crate) async fn remove_image(cri: Cri, request: RemoveImageRequest) -> Result<RemoveImageResponse, Fault> {
    let name = named(&cri, request.image)?;
    let was_there = cri.store().remove_image(NAMESPACE, &name).await?;
    tracing::info!(image = name, was_there, "removed");
    Ok(RemoveImageResponse {})
}
