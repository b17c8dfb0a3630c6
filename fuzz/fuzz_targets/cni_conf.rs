//! A network configuration from the CNI folder.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_spec::cni::NetworkList;

fuzz_target!(|data: &[u8]| {
    drop(NetworkList::parse(data));
    drop(NetworkList::parse_single(data));
});
