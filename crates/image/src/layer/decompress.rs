//! gzip (any number of members), zstd (any number of frames) or plain, told by the first bytes: media types are known to
//! lie about compression, and the digests decide anyway.

use std::io::{BufRead, BufReader, Read, Result};

const READ_AHEAD: usize = 128 << 10;

/// The uncompressed stream of `source`.
pub(super) fn decompress<'s>(source: impl Read + Send + 's) -> Result<Box<dyn Read + Send + 's>> {
    let mut source = BufReader::with_capacity(READ_AHEAD, source);
    // A short first read of a pipe must not hide the magic: four bytes are put back in front.
    let mut magic = Vec::with_capacity(4);
    while magic.len() < 4 {
        let available = source.fill_buf()?;
        if available.is_empty() {
            break;
        }
        let take = available.len().min(4 - magic.len());
        magic.extend_from_slice(&available[..take]);
        source.consume(take);
    }
    let kind = magic.clone();
    let whole = std::io::Cursor::new(magic).chain(source);
    Ok(match kind.as_slice() {
        [0x1f, 0x8b, ..] => Box::new(flate2::bufread::MultiGzDecoder::new(whole)),
        [0x28, 0xb5, 0x2f, 0xfd] => Box::new(zstd_stream(whole)?),
        // A skippable frame may come first (zstd:chunked, pzstd).
        [low, 0x2a, 0x4d, 0x18] if (0x50..=0x5f).contains(low) => Box::new(zstd_stream(whole)?),
        _ => Box::new(whole),
    })
}

fn zstd_stream<R: BufRead>(source: R) -> Result<zstd::stream::read::Decoder<'static, R>> {
    let mut decoder = zstd::stream::read::Decoder::with_buffer(source)?;
    // 128 MiB, the most that `zstd --long=27` needs: bounds the memory that a frame may ask for.
    decoder.window_log_max(27)?;
    Ok(decoder)
}
