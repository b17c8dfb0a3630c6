//! ttrpc frames: cut anywhere, a stream of bytes gives the same frames.
#![no_main]

use libfuzzer_sys::fuzz_target;
use plimsoll_proto::ttrpc::{Decoded, Decoder};

fn decode(chunks: impl Iterator<Item = Vec<u8>>) -> Vec<Option<Decoded>> {
    let mut decoder = Decoder::default();
    let mut seen = Vec::new();
    for chunk in chunks {
        decoder.feed(&chunk);
        loop {
            match decoder.decode() {
                Ok(Some(frame)) => seen.push(Some(frame)),
                Ok(None) => break,
                Err(_) => {
                    seen.push(None);
                    return seen;
                }
            }
        }
    }
    seen
}

fuzz_target!(|data: &[u8]| {
    let whole = decode(std::iter::once(data.to_vec()));
    assert_eq!(whole, decode(data.chunks(1).map(<[u8]>::to_vec)));
    assert_eq!(whole, decode(data.chunks(7).map(<[u8]>::to_vec)));
});
