//! Regular files, plain and sparse.

use crate::limits::FILE_BYTES;
use rustix::fd::{BorrowedFd, OwnedFd};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::fs::File;
use std::os::unix::fs::FileExt;
use tar_core::SparseEntry;

/// Makes a new empty file; what was there is an `EXIST`.
pub(super) fn create(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::from_raw_mode(0o600))
}

/// Where the bytes of a sparse file go: regions in ascending order, each within the file.
pub(super) struct SparseWriter<'m> {
    map: &'m [SparseEntry],
    /// Within the first region of `map`.
    done: u64,
}

impl<'m> SparseWriter<'m> {
    /// `None` if the map overlaps, runs backwards or past the end, or does not hold exactly `stored` bytes.
    pub(super) fn new(map: &'m [SparseEntry], stored: u64, size: u64) -> Option<Self> {
        let mut end = 0_u64;
        let mut sum = 0_u64;
        for region in map {
            let next = region.offset.checked_add(region.length)?;
            sum = sum.checked_add(region.length)?;
            if region.offset < end || next > size {
                return None;
            }
            end = next;
        }
        (sum == stored && size <= FILE_BYTES).then_some(Self { map, done: 0 })
    }

    pub(super) fn write(&mut self, file: &File, mut bytes: &[u8]) -> std::io::Result<()> {
        while !bytes.is_empty() {
            let Some(region) = self.map.first() else {
                return Err(std::io::Error::new(
                    std::io::ErrorKind::InvalidData,
                    "more bytes than the sparse map holds",
                ));
            };
            let room = region.length - self.done;
            let piece = usize::try_from(room).unwrap_or(usize::MAX).min(bytes.len());
            file.write_all_at(&bytes[..piece], region.offset + self.done)?;
            self.done += piece as u64;
            bytes = &bytes[piece..];
            if self.done == region.length {
                (self.map, self.done) = (&self.map[1..], 0);
            }
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn region(offset: u64, length: u64) -> SparseEntry {
        SparseEntry { offset, length }
    }

    #[test]
    fn maps_that_lie_are_refused() {
        assert!(SparseWriter::new(&[region(0, 4), region(8, 4)], 8, 12).is_some());
        assert!(SparseWriter::new(&[region(0, 4), region(2, 4)], 8, 12).is_none());
        assert!(SparseWriter::new(&[region(8, 8)], 8, 12).is_none());
        assert!(SparseWriter::new(&[region(0, 4)], 5, 12).is_none());
        assert!(SparseWriter::new(&[region(u64::MAX, 4)], 4, u64::MAX).is_none());
        assert!(SparseWriter::new(&[], 0, FILE_BYTES + 1).is_none());
    }
}
