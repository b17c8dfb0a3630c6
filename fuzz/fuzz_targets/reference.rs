//! An image reference: what is printed parses to the same.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_spec::reference::Reference;

fuzz_target!(|text: &str| {
    let Ok(reference) = text.parse::<Reference>() else { return };
    assert_eq!(reference.to_string().parse::<Reference>().expect("what was printed parses"), reference);
});
