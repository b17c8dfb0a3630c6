//! Image references and images.

use plimsoll_core::container::ImageSpec;
use plimsoll_proto::cri;

pub(crate) fn spec(from: cri::ImageSpec) -> ImageSpec {
    ImageSpec {
        image: from.image,
        user_specified: from.user_specified_image,
        handler: from.runtime_handler,
        annotations: from.annotations.into_iter().collect(),
    }
}

pub(crate) fn spec_message(from: ImageSpec) -> cri::ImageSpec {
    cri::ImageSpec {
        image: from.image,
        annotations: from.annotations.into_iter().collect(),
        user_specified_image: from.user_specified,
        runtime_handler: from.handler,
        image_ref: String::new(),
    }
}
