//! See `plimsoll_fuzz::config_plan`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| plimsoll_fuzz::config_plan::body(data));
