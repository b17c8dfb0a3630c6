//! A blob in the making: named by its caller, resumable, committed in the order file, folder, database.

use super::{Content, Growing, sync_folder};
use crate::fault::{io_fault, make_folder};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::digest::{Algorithm, Digest, Hasher};
use std::fs::{self, File, OpenOptions};
use std::io::{Read, Seek, SeekFrom, Write};
use std::path::PathBuf;

/// The writer of an ingest. Dropping it keeps what was written for the next writer of the same reference; [`Ingest::abort`]
/// removes it.
pub struct Ingest {
    content: Content,
    reference: String,
    folder: PathBuf,
    file: File,
    hasher: Hasher,
    offset: u64,
    growing: Option<Growing>,
}

impl Ingest {
    pub(super) fn open(content: Content, reference: &str) -> Result<Self> {
        let folder = content.ingest_folder(reference);
        let opened = make_folder(&folder).and_then(|()| open_data(&folder));
        let (file, hasher, offset) = match opened {
            Ok(parts) => parts,
            Err(fault) => {
                content.release(reference);
                return Err(fault);
            }
        };
        Ok(Self { content, reference: reference.to_owned(), folder, file, hasher, offset, growing: None })
    }

    /// Bytes that are there already; writing goes on behind them.
    pub fn offset(&self) -> u64 {
        self.offset
    }

    /// Lets a reader follow what is written. The reader ends when the ingest is committed and fails when it is not.
    pub(crate) fn follow(&mut self, growing: Growing) {
        growing.advance(self.offset);
        self.growing = Some(growing);
    }

    /// Throws away what an earlier writer left.
    pub fn restart(&mut self) -> Result<()> {
        self.file.set_len(0).and_then(|()| self.file.rewind()).map_err(|error| self.fault("truncate", &error))?;
        self.hasher = Hasher::new(Algorithm::Sha256);
        self.offset = 0;
        Ok(())
    }

    pub fn write(&mut self, bytes: &[u8]) -> Result<()> {
        self.file.write_all(bytes).map_err(|error| self.fault("write", &error))?;
        self.hasher.update(bytes);
        self.offset += bytes.len() as u64;
        if let Some(growing) = &self.growing {
            growing.advance(self.offset);
        }
        Ok(())
    }

    /// Verifies size and digest, makes the blob durable and records it for `namespace`.
    pub fn commit(&mut self, namespace: &str, digest: &Digest, size: u64) -> Result<()> {
        self.verify(digest, size)?;
        if let Some(growing) = self.growing.take() {
            growing.finish();
        }
        let blob = self.content.path(digest);
        self.file.sync_data().map_err(|error| self.fault("sync", &error))?;
        fs::rename(self.folder.join("data"), &blob).map_err(|error| self.fault("rename", &error))?;
        sync_folder(&self.content.blob_folder(digest))?;
        self.content.record(namespace, digest, size)?;
        fs::remove_dir_all(&self.folder).map_err(|error| self.fault("remove", &error))
    }

    fn verify(&mut self, digest: &Digest, size: u64) -> Result<()> {
        let wrong = |what: String| Err(Fault::new(Layer::Image, "verify", what).kind(Kind::DataLoss));
        if self.offset != size {
            return wrong(format!("blob {digest} has {} bytes, its descriptor says {size}", self.offset));
        }
        let found = match digest.algorithm() {
            Algorithm::Sha256 => std::mem::replace(&mut self.hasher, Hasher::new(Algorithm::Sha256)).finish(),
            // Rare: read again rather than hash everything twice.
            other => {
                let mut hasher = Hasher::new(other);
                self.file.rewind().map_err(|error| self.fault("read", &error))?;
                hash_into(&mut self.file, &mut hasher).map_err(|error| self.fault("read", &error))?;
                hasher.finish()
            }
        };
        if found != *digest {
            return wrong(format!("blob {digest} has digest {found}"));
        }
        Ok(())
    }

    /// Removes what was written. A failure to remove leaves a file that the next writer of the reference takes over.
    pub fn abort(self) {
        if let Err(error) = fs::remove_dir_all(&self.folder) {
            tracing::warn!(ingest = %self.reference, %error, "cannot remove an ingest");
        }
    }

    fn fault(&self, act: &str, error: &std::io::Error) -> Fault {
        io_fault("ingest", &format!("cannot {act} ingest {}", self.reference), error)
    }
}

impl Drop for Ingest {
    fn drop(&mut self) {
        self.content.release(&self.reference);
        if let Some(growing) = self.growing.take() {
            growing.fail();
        }
    }
}

fn open_data(folder: &std::path::Path) -> Result<(File, Hasher, u64)> {
    let fault = |error: &std::io::Error| io_fault("ingest", &format!("cannot open {}", folder.display()), error);
    let mut options = OpenOptions::new();
    let mut file =
        options.read(true).write(true).create(true).truncate(false).open(folder.join("data")).map_err(|e| fault(&e))?;
    let mut hasher = Hasher::new(Algorithm::Sha256);
    let offset = hash_into(&mut file, &mut hasher).map_err(|e| fault(&e))?;
    file.seek(SeekFrom::Start(offset)).map_err(|e| fault(&e))?;
    Ok((file, hasher, offset))
}

fn hash_into(file: &mut File, hasher: &mut Hasher) -> std::io::Result<u64> {
    let mut buffer = vec![0; 1 << 18];
    let mut total = 0;
    loop {
        let read = file.read(&mut buffer)?;
        if read == 0 {
            return Ok(total);
        }
        hasher.update(&buffer[..read]);
        total += read as u64;
    }
}
