//! ImageService: a file per RPC.

mod image_fs_info;
mod image_status;
mod list_images;
mod pull_image;
mod remove_image;

pub(crate) use image_fs_info::image_fs_info;
pub(crate) use image_status::image_status;
pub(crate) use list_images::list_images;
pub(crate) use pull_image::pull_image;
pub(crate) use remove_image::remove_image;

use crate::Cri;
use plimsoll_fault::{Fault, Kind};
use plimsoll_proto::cri::ImageSpec;

/// The image that a request names; images of one handler only are those of all, as long as the handler exists.
fn named(cri: &Cri, spec: Option<ImageSpec>) -> Result<String, Fault> {
    let spec = spec.ok_or_else(|| Fault::invalid("request", "image is missing"))?;
    if spec.image.is_empty() {
        return Err(Fault::invalid("request", "image.image is empty"));
    }
    let handler = &spec.runtime_handler;
    if !handler.is_empty() && !cri.core().config().handlers.contains_key(handler) {
        let what = format!("image.runtime_handler: no handler `{handler}` is configured");
        return Err(Fault::invalid("request", what).kind(Kind::NotFound));
    }
    Ok(spec.image)
}
