//! ImageStatus. An image that is not there is an empty answer, not an error.

use super::named;
use crate::convert::image::message;
use crate::{Cri, NAMESPACE};
use plimsoll_fault::Fault;
use plimsoll_image::Image;
use plimsoll_proto::cri::{ImageStatusRequest, ImageStatusResponse};
use serde_json::json;
use std::collections::HashMap;

pub(crate) async fn image_status(cri: Cri, request: ImageStatusRequest) -> Result<ImageStatusResponse, Fault> {
    let name = named(&cri, request.image)?;
    let Some(image) = cri.store().image(NAMESPACE, &name).await? else { return Ok(ImageStatusResponse::default()) };
    let info = if request.verbose { info(&image) } else { HashMap::new() };
    Ok(ImageStatusResponse { image: Some(message(image)), info })
}

fn info(image: &Image) -> HashMap<String, String> {
    let chain: Vec<String> = image.chain.iter().map(ToString::to_string).collect();
    let facts = json!({
        "chainID": chain.last(),
        "chain": chain,
        "target": image.target,
        "labels": image.labels,
        "imageSpec": image.config,
    });
    HashMap::from([("info".to_owned(), facts.to_string())])
}
