//! A bundle's config.json: written again, a parsed one parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_spec::runtime::Spec;

fuzz_target!(|data: &[u8]| {
    let Ok(spec) = Spec::parse(data) else { return };
    let text = serde_json::to_vec(&spec).expect("what was parsed can be written");
    let again = Spec::parse(&text).expect("what was written can be parsed");
    assert_eq!(text, serde_json::to_vec(&again).expect("what was parsed can be written"));
});
