//! The tar stream as the parser wants it: a window of contiguous bytes that can grow, and payload that passes through.

use std::io::{Error, ErrorKind, Read, Result};

const WINDOW: usize = 512 << 10;

/// A buffered stream that counts what it took, up to a limit.
pub(super) struct Blocks<R> {
    source: R,
    buffer: Vec<u8>,
    start: usize,
    end: usize,
    left: u64,
}

impl<R: Read> Blocks<R> {
    pub(super) fn new(source: R, limit: u64) -> Self {
        Self { source, buffer: vec![0; WINDOW], start: 0, end: 0, left: limit }
    }

    pub(super) fn window(&self) -> &[u8] {
        &self.buffer[self.start..self.end]
    }

    pub(super) fn consume(&mut self, bytes: usize) {
        self.start += bytes.min(self.end - self.start);
    }

    /// Makes the window at least `wanted` long; false if the stream ends before.
    pub(super) fn fill(&mut self, wanted: usize) -> Result<bool> {
        while self.end - self.start < wanted {
            if self.start + wanted > self.buffer.len() {
                self.buffer.copy_within(self.start..self.end, 0);
                (self.start, self.end) = (0, self.end - self.start);
                if wanted > self.buffer.len() {
                    self.buffer.resize(wanted, 0);
                }
            }
            if !self.read_more()? {
                return Ok(false);
            }
        }
        Ok(true)
    }

    fn read_more(&mut self) -> Result<bool> {
        let read = loop {
            match self.source.read(&mut self.buffer[self.end..]) {
                Err(error) if error.kind() == ErrorKind::Interrupted => {}
                other => break other?,
            }
        };
        self.left = self
            .left
            .checked_sub(read as u64)
            .ok_or_else(|| Error::new(ErrorKind::FileTooLarge, "the uncompressed layer exceeds its limit"))?;
        self.end += read;
        Ok(read > 0)
    }

    /// Hands exactly `bytes` of payload to `take`, in pieces.
    pub(super) fn payload<E>(
        &mut self,
        mut bytes: u64,
        mut take: impl FnMut(&[u8]) -> std::result::Result<(), E>,
    ) -> Result<std::result::Result<(), E>> {
        while bytes > 0 {
            if self.start == self.end {
                (self.start, self.end) = (0, 0);
                if !self.read_more()? {
                    return Err(Error::new(ErrorKind::UnexpectedEof, "the layer ends within an entry"));
                }
            }
            let piece = usize::try_from(bytes).unwrap_or(usize::MAX).min(self.end - self.start);
            if let Err(error) = take(&self.buffer[self.start..self.start + piece]) {
                return Ok(Err(error));
            }
            self.start += piece;
            bytes -= piece as u64;
        }
        Ok(Ok(()))
    }

    pub(super) fn skip(&mut self, bytes: u64) -> Result<()> {
        self.payload(bytes, |_| Ok::<(), std::convert::Infallible>(()))?.unwrap_or_else(|never| match never {});
        Ok(())
    }

    /// Reads to the end, so that whoever hashes the stream has seen all of it.
    pub(super) fn drain(&mut self) -> Result<()> {
        loop {
            (self.start, self.end) = (0, 0);
            if !self.read_more()? {
                return Ok(());
            }
        }
    }
}
