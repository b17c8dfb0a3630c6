//! Reading a file while another thread still writes it: how unpacking overlaps the download without a second copy in
//! memory and without slowing the download down.

use std::fs::File;
use std::io::{Error, ErrorKind, Read, Result};
use std::os::unix::fs::FileExt;
use std::path::PathBuf;
use std::sync::{Arc, Condvar, Mutex, PoisonError};

#[derive(Clone, Copy)]
enum End {
    Open,
    Finished,
    Failed,
}

/// The writer's side.
#[derive(Clone)]
pub(crate) struct Growing(Arc<(Mutex<(u64, End)>, Condvar)>);

impl Growing {
    pub(crate) fn new() -> Self {
        Self(Arc::new((Mutex::new((0, End::Open)), Condvar::new())))
    }

    pub(super) fn advance(&self, written: u64) {
        self.change(|state| state.0 = written);
    }

    pub(super) fn finish(&self) {
        self.change(|state| state.1 = End::Finished);
    }

    /// The writer gave up: readers get an error instead of an end.
    pub(crate) fn fail(&self) {
        self.change(|state| {
            if matches!(state.1, End::Open) {
                state.1 = End::Failed;
            }
        });
    }

    fn change(&self, act: impl FnOnce(&mut (u64, End))) {
        act(&mut self.0.0.lock().unwrap_or_else(PoisonError::into_inner));
        self.0.1.notify_all();
    }

    /// Blocks until there is more than `offset`: how far it goes; `offset` itself at the end.
    fn wait_beyond(&self, offset: u64) -> Result<u64> {
        let mut state = self.0.0.lock().unwrap_or_else(PoisonError::into_inner);
        loop {
            match *state {
                (written, _) if written > offset => return Ok(written),
                (_, End::Finished) => return Ok(offset),
                (_, End::Failed) => return Err(Error::new(ErrorKind::ConnectionAborted, "the download failed")),
                (_, End::Open) => state = self.0.1.wait(state).unwrap_or_else(PoisonError::into_inner),
            }
        }
    }
}

/// The reader's side: an ordinary stream of the file's bytes that ends where the writer committed.
pub(crate) struct GrowingReader {
    /// Where the file is while it grows, and where it is moved to.
    places: [PathBuf; 2],
    file: Option<File>,
    offset: u64,
    growing: Growing,
}

impl GrowingReader {
    pub(crate) fn new(places: [PathBuf; 2], growing: Growing) -> Self {
        Self { places, file: None, offset: 0, growing }
    }

    /// Once there are bytes, the file is in one place or the other; it may move between the two looks, never back.
    fn file(&mut self) -> Result<&File> {
        let file = match self.file.take() {
            Some(file) => file,
            None => File::open(&self.places[0]).or_else(|_| File::open(&self.places[1]))?,
        };
        Ok(self.file.insert(file))
    }
}

impl Read for GrowingReader {
    fn read(&mut self, buffer: &mut [u8]) -> Result<usize> {
        let end = self.growing.wait_beyond(self.offset)?;
        let most = usize::try_from(end - self.offset).unwrap_or(usize::MAX).min(buffer.len());
        if most == 0 {
            return Ok(0);
        }
        let offset = self.offset;
        let read = self.file()?.read_at(&mut buffer[..most], offset)?;
        self.offset += read as u64;
        Ok(read)
    }
}
