//! RemoveImage. What is not there is removed already.

use super::named;
use crate::{Cri, NAMESPACE};
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{RemoveImageRequest, RemoveImageResponse};

pub(crate) async fn remove_image(cri: Cri, request: RemoveImageRequest) -> Result<RemoveImageResponse, Fault> {
    let name = named(&cri, request.image)?;
    plimsoll_core::remove_image(cri.core(), NAMESPACE, &name).await?;
    Ok(RemoveImageResponse {})
}
