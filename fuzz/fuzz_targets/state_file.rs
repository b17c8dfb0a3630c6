//! See `plimsoll_fuzz::state_file`.
#![no_main]

use libfuzzer_sys::fuzz_target;

fuzz_target!(|data: &[u8]| plimsoll_fuzz::state_file::body(data));
