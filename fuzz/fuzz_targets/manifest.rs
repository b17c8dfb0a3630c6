//! A manifest or index from a registry.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_spec::image::Document;

fuzz_target!(|data: &[u8]| {
    for announced in ["", "application/vnd.oci.image.index.v1+json", "application/vnd.oci.image.manifest.v1+json"] {
        drop(Document::parse(data, announced));
    }
});
