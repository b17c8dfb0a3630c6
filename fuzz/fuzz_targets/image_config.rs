//! An image's config.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_spec::image::ImageConfig;

fuzz_target!(|data: &[u8]| {
    drop(ImageConfig::parse(data));
});
