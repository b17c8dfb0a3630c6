//! ListImages.

use crate::convert::image::message;
use crate::{Cri, NAMESPACE};
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{ListImagesRequest, ListImagesResponse};

pub(crate) async fn list_images(cri: Cri, request: ListImagesRequest) -> Result<ListImagesResponse, Fault> {
    let wanted = request.filter.and_then(|filter| filter.image).map(|spec| spec.image).filter(|name| !name.is_empty());
    let images = match wanted {
        Some(name) => cri.store().image(NAMESPACE, &name).await?.into_iter().collect(),
        None => cri.store().images(NAMESPACE).await?,
    };
    Ok(ListImagesResponse { images: images.into_iter().map(message).collect() })
}
