//! What a CNI plugin prints.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_spec::cni::Result;

fuzz_target!(|data: &[u8]| {
    let Ok(result) = Result::parse(data) else { return };
    drop(result.pod_ips());
});
