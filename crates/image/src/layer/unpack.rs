//! A layer's stream in two threads: one inflates and hashes, the other writes files.

use super::{Applied, Rights, apply, decompress::decompress};
use crate::limits::{PIPE_CHUNK, PIPE_DEPTH};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::digest::{Digest, Hasher};
use std::io::{self, Read};
use std::path::Path;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

/// Unpacks `source` (compressed or not) into the empty folder `target` and verifies that the uncompressed tar has the
/// digest `diff_id`. On failure the folder holds what was written so far: the caller removes it.
pub fn unpack(source: impl Read + Send, diff_id: &Digest, target: &Path, rights: Rights) -> Result<Applied> {
    let (full, filled) = sync_channel::<Vec<u8>>(PIPE_DEPTH);
    let (empty, emptied) = sync_channel::<Vec<u8>>(PIPE_DEPTH + 2);
    let mut hasher = Hasher::new(diff_id.algorithm());
    let (applied, inflated) = std::thread::scope(|scope| {
        let inflater = scope.spawn(move || inflate(source, &mut hasher, &full, &emptied).map(|()| hasher.finish()));
        let applied = apply(PipeReader { filled, empty, chunk: Vec::new(), at: 0 }, target, rights);
        let inflated = inflater.join().unwrap_or_else(|_| Err(io::Error::other("the inflating thread panicked")));
        (applied, inflated)
    });
    let found = match inflated {
        Ok(found) => found,
        // The writer stopped first: its fault is the cause.
        Err(error) if error.kind() == io::ErrorKind::BrokenPipe && applied.is_err() => return applied,
        Err(error) => return Err(damaged("cannot be decompressed", &error)),
    };
    let applied = applied?;
    if found != *diff_id {
        let what = format!("layer's uncompressed digest is {found}, the image config says {diff_id}");
        return Err(Fault::new(Layer::Image, "unpack", what).kind(Kind::DataLoss));
    }
    Ok(applied)
}

fn damaged(what: &str, error: &io::Error) -> Fault {
    Fault::new(Layer::Image, "unpack", format!("layer {what}")).kind(Kind::DataLoss).because(error)
}

fn inflate(
    source: impl Read + Send,
    hasher: &mut Hasher,
    full: &SyncSender<Vec<u8>>,
    emptied: &Receiver<Vec<u8>>,
) -> io::Result<()> {
    let mut stream = decompress(source)?;
    loop {
        let mut chunk = emptied.try_recv().unwrap_or_default();
        chunk.resize(PIPE_CHUNK, 0);
        let filled = fill(&mut stream, &mut chunk)?;
        if filled == 0 {
            return Ok(());
        }
        chunk.truncate(filled);
        hasher.update(&chunk);
        full.send(chunk).map_err(|_| io::Error::from(io::ErrorKind::BrokenPipe))?;
    }
}

fn fill(stream: &mut impl Read, chunk: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < chunk.len() {
        match stream.read(&mut chunk[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// The writing thread's end of the pipe.
struct PipeReader {
    filled: Receiver<Vec<u8>>,
    empty: SyncSender<Vec<u8>>,
    chunk: Vec<u8>,
    at: usize,
}

impl Read for PipeReader {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if self.at == self.chunk.len() {
            let Ok(next) = self.filled.recv() else { return Ok(0) };
            let spent = std::mem::replace(&mut self.chunk, next);
            self.at = 0;
            if spent.capacity() > 0 && self.empty.try_send(spent).is_err() {
                // The other side has enough: this one is freed.
            }
        }
        let piece = buffer.len().min(self.chunk.len() - self.at);
        buffer[..piece].copy_from_slice(&self.chunk[self.at..self.at + piece]);
        self.at += piece;
        Ok(piece)
    }
}
