//! The ttrpc frame: ten bytes of header (u32 length, u32 stream, u8 kind, u8 flags; big endian), then the data.

use std::fmt;

pub const HEADER_LENGTH: usize = 10;

/// Longest data of one frame; the protocol's own limit. Longer ones are skipped, not stored.
pub const MAX_DATA: usize = 4 << 20;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    Request,
    Response,
    /// Data of a stream; only streaming calls use it.
    Data,
}

impl Kind {
    fn from_wire(byte: u8) -> Option<Self> {
        match byte {
            1 => Some(Self::Request),
            2 => Some(Self::Response),
            3 => Some(Self::Data),
            _ => None,
        }
    }

    fn to_wire(self) -> u8 {
        match self {
            Self::Request => 1,
            Self::Response => 2,
            Self::Data => 3,
        }
    }
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Header {
    pub length: u32,
    pub stream: u32,
    pub kind: Kind,
    pub flags: u8,
}

/// What the peer sent is no ttrpc; the connection cannot be read any further.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum FrameError {
    /// The kind byte is none that the protocol has.
    UnknownKind(u8),
}

impl fmt::Display for FrameError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::UnknownKind(byte) => write!(f, "ttrpc frame of unknown kind {byte}"),
        }
    }
}

impl std::error::Error for FrameError {}

/// One step of decoding.
#[derive(Debug, PartialEq, Eq)]
pub enum Decoded {
    Frame {
        stream: u32,
        kind: Kind,
        flags: u8,
        data: Vec<u8>,
    },
    /// A frame longer than [`MAX_DATA`]: its data is being skipped; the stream should be answered with ResourceExhausted.
    TooLong {
        stream: u32,
        length: u32,
    },
}

/// Collects bytes as they come and gives out whole frames. Holds at most one frame and one read more than that.
#[derive(Debug, Default)]
pub struct Decoder {
    buffer: Vec<u8>,
    /// Bytes of a frame that is too long which are still to come.
    skip: usize,
}

impl Decoder {
    pub fn feed(&mut self, bytes: &[u8]) {
        let skipped = bytes.len().min(self.skip);
        self.skip -= skipped;
        self.buffer.extend_from_slice(&bytes[skipped..]);
    }

    /// The next frame that is whole; `None` when more bytes are needed.
    pub fn decode(&mut self) -> Result<Option<Decoded>, FrameError> {
        let Some(header) = parse_header(&self.buffer)? else {
            return Ok(None);
        };
        let length = header.length as usize;
        if length > MAX_DATA {
            let here = (self.buffer.len() - HEADER_LENGTH).min(length);
            self.skip = length - here;
            self.buffer.drain(..HEADER_LENGTH + here);
            return Ok(Some(Decoded::TooLong { stream: header.stream, length: header.length }));
        }
        if self.buffer.len() < HEADER_LENGTH + length {
            return Ok(None);
        }
        let rest = self.buffer.split_off(HEADER_LENGTH + length);
        let mut data = std::mem::replace(&mut self.buffer, rest);
        data.drain(..HEADER_LENGTH);
        Ok(Some(Decoded::Frame { stream: header.stream, kind: header.kind, flags: header.flags, data }))
    }

    /// Bytes held that make no whole frame yet.
    pub fn pending(&self) -> usize {
        self.buffer.len()
    }
}

fn parse_header(bytes: &[u8]) -> Result<Option<Header>, FrameError> {
    let Some(&[a, b, c, d, e, f, g, h, kind, flags]) = bytes.first_chunk::<HEADER_LENGTH>() else {
        return Ok(None);
    };
    Ok(Some(Header {
        length: u32::from_be_bytes([a, b, c, d]),
        stream: u32::from_be_bytes([e, f, g, h]),
        kind: Kind::from_wire(kind).ok_or(FrameError::UnknownKind(kind))?,
        flags,
    }))
}

/// Appends one frame to `out`. Returns false, and appends nothing, when `data` is longer than [`MAX_DATA`].
#[must_use]
pub fn encode(out: &mut Vec<u8>, stream: u32, kind: Kind, data: &[u8]) -> bool {
    let Some(length) = u32::try_from(data.len()).ok().filter(|_| data.len() <= MAX_DATA) else {
        return false;
    };
    out.reserve(HEADER_LENGTH + data.len());
    out.extend_from_slice(&length.to_be_bytes());
    out.extend_from_slice(&stream.to_be_bytes());
    out.push(kind.to_wire());
    out.push(0);
    out.extend_from_slice(data);
    true
}

#[cfg(test)]
mod tests {
    use super::*;

    fn decode_all(decoder: &mut Decoder) -> Vec<Decoded> {
        std::iter::from_fn(|| decoder.decode().expect("well-formed")).collect()
    }

    #[test]
    fn frames_come_out_whole_whatever_the_reads_were() {
        let mut wire = Vec::new();
        assert!(encode(&mut wire, 1, Kind::Request, b"one"));
        assert!(encode(&mut wire, 3, Kind::Response, b""));
        for step in 1..wire.len() {
            let mut decoder = Decoder::default();
            let mut frames = Vec::new();
            for part in wire.chunks(step) {
                decoder.feed(part);
                frames.extend(decode_all(&mut decoder));
            }
            assert_eq!(frames.len(), 2);
            assert_eq!(frames[0], Decoded::Frame { stream: 1, kind: Kind::Request, flags: 0, data: b"one".to_vec() });
            assert_eq!(decoder.pending(), 0);
        }
    }

    #[test]
    fn a_frame_that_is_too_long_is_skipped_and_the_next_one_is_read() {
        let mut wire = Vec::new();
        let length = u32::try_from(MAX_DATA + 1).expect("small");
        wire.extend_from_slice(&length.to_be_bytes());
        wire.extend_from_slice(&[0, 0, 0, 5, 1, 0]);
        wire.resize(HEADER_LENGTH + MAX_DATA + 1, 7);
        assert!(encode(&mut wire, 7, Kind::Request, b"next"));
        let mut decoder = Decoder::default();
        let mut seen = Vec::new();
        for part in wire.chunks(65536) {
            decoder.feed(part);
            seen.extend(decode_all(&mut decoder));
            assert!(decoder.pending() < 131_072);
        }
        assert_eq!(seen[0], Decoded::TooLong { stream: 5, length });
        assert!(matches!(seen[1], Decoded::Frame { stream: 7, .. }));
    }

    #[test]
    fn an_unknown_kind_is_an_error() {
        let mut decoder = Decoder::default();
        decoder.feed(&[0, 0, 0, 0, 0, 0, 0, 1, 9, 0]);
        assert_eq!(decoder.decode(), Err(FrameError::UnknownKind(9)));
    }

    #[test]
    fn data_over_the_limit_is_not_encoded() {
        let mut out = Vec::new();
        assert!(!encode(&mut out, 1, Kind::Response, &vec![0; MAX_DATA + 1]));
        assert!(out.is_empty());
    }
}
