//! Content by digest: `ROOT/content/blobs/<algorithm>/<hex>`, shared by all namespaces; what a namespace knows of a blob
//! (its labels, its lease) is a record of its own. A blob file that is there is whole, verified and durable.

mod growing;
mod ingest;

pub(crate) use growing::{Growing, GrowingReader};
pub use ingest::Ingest;

use crate::db::{Db, Entry, Record, Table};
use crate::fault::{io_fault, lost};
use crate::limits::INGEST_LIFE;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashSet};
use std::fs::{self, File};
use std::io::Read;
use std::path::{Path, PathBuf};
use std::sync::{Arc, Mutex, PoisonError};

/// What a namespace records of a blob.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BlobRecord {
    pub size: u64,
}

/// A handle on the content store; clones share it. All calls block on the disk.
#[derive(Clone)]
pub struct Content {
    folder: Arc<PathBuf>,
    db: Db,
    records: Table<BlobRecord>,
    /// Ingests that have a writer.
    busy: Arc<Mutex<HashSet<String>>>,
}

impl Content {
    /// Makes the folders. Blob files that no record names are whole all the same (a crash came between file and record):
    /// the next pull adopts them, the collector removes them.
    pub fn open(db: &Db) -> Result<Self> {
        let folder = db.root().join("content");
        for name in ["blobs/sha256", "blobs/sha512", "ingest"] {
            crate::fault::make_folder(&folder.join(name))?;
        }
        remove_stale(&folder.join("ingest"))?;
        Ok(Self { folder: Arc::new(folder), db: db.clone(), records: db.table("content"), busy: Arc::default() })
    }

    /// Where the blob is or would be. Digests are safe as file names.
    pub fn path(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.algorithm().name()).join(digest.hex())
    }

    /// Size in bytes if the blob is there.
    pub fn size(&self, digest: &Digest) -> Result<Option<u64>> {
        match fs::metadata(self.path(digest)) {
            Ok(meta) => Ok(Some(meta.len())),
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(None),
            Err(error) => Err(io_fault("read", &format!("cannot stat blob {digest}"), &error)),
        }
    }

    /// Opens a blob for reading; a missing one is `NotFound`.
    pub fn reader(&self, digest: &Digest) -> Result<File> {
        File::open(self.path(digest)).map_err(|error| {
            let fault = io_fault("read", &format!("cannot open blob {digest}"), &error);
            if error.kind() == std::io::ErrorKind::NotFound { fault.kind(Kind::NotFound) } else { fault }
        })
    }

    /// Reads a small blob whole and verifies it again.
    pub fn read(&self, digest: &Digest, limit: u64) -> Result<Vec<u8>> {
        let mut bytes = Vec::new();
        let read = self.reader(digest)?.take(limit + 1).read_to_end(&mut bytes);
        read.map_err(|error| io_fault("read", &format!("cannot read blob {digest}"), &error))?;
        if bytes.len() as u64 > limit {
            return Err(lost("read", &format!("blob {digest} exceeds {limit} bytes")));
        }
        if Digest::of(digest.algorithm(), &bytes) != *digest {
            return Err(lost("read", &format!("blob {digest} is corrupt on disk")));
        }
        Ok(bytes)
    }

    /// Stores bytes at hand under a digest that they must have.
    pub fn put(&self, namespace: &str, digest: &Digest, bytes: &[u8]) -> Result<()> {
        if self.size(digest)? == Some(bytes.len() as u64) {
            return self.adopt(namespace, digest, BTreeMap::new());
        }
        let mut ingest = self.ingest(&format!("put-{digest}"))?;
        ingest.restart()?;
        let stored = ingest.write(bytes).and_then(|()| ingest.commit(namespace, digest, bytes.len() as u64));
        if stored.is_err() {
            ingest.abort();
        }
        stored
    }

    /// Opens the ingest named `reference`, resuming what an earlier one wrote. One writer each: a second gets `Unavailable`.
    pub fn ingest(&self, reference: &str) -> Result<Ingest> {
        let mut busy = self.busy.lock().unwrap_or_else(PoisonError::into_inner);
        if !busy.insert(reference.to_owned()) {
            let what = format!("ingest {reference} has a writer already");
            return Err(Fault::new(Layer::Store, "ingest", what).kind(Kind::Unavailable));
        }
        drop(busy);
        Ingest::open(self.clone(), reference)
    }

    /// Records that `namespace` has the blob, which is there. Labels are added to those it has.
    pub fn adopt(&self, namespace: &str, digest: &Digest, labels: BTreeMap<String, String>) -> Result<()> {
        let id = digest.to_string();
        if let Some(record) = self.records.read(namespace, &id)?
            && labels.iter().all(|(key, value)| record.labels.get(key) == Some(value))
        {
            return Ok(());
        }
        let size = self.size(digest)?.ok_or_else(|| lost("adopt", &format!("blob {digest} is not there")))?;
        self.db.write_soon(|txn| {
            let mut record =
                txn.read(&self.records, namespace, &id)?.unwrap_or_else(|| Record::new(BlobRecord { size }));
            record.labels.extend(labels);
            txn.put(&self.records, namespace, &id, &record)
        })
    }

    /// Records a blob that was just made durable. The record itself becomes durable with what is built on it.
    fn record(&self, namespace: &str, digest: &Digest, size: u64) -> Result<()> {
        let record = Record::new(BlobRecord { size });
        self.db.write_soon(|txn| txn.put(&self.records, namespace, &digest.to_string(), &record))
    }

    /// What namespaces record, all of them.
    pub fn records(&self) -> Result<Vec<Entry<BlobRecord>>> {
        self.records.list_all()
    }

    pub(crate) fn table(&self) -> &Table<BlobRecord> {
        &self.records
    }

    /// Removes the file of a blob that no record names any more.
    pub(crate) fn unlink(&self, digest: &Digest) -> Result<()> {
        match fs::remove_file(self.path(digest)) {
            Err(error) if error.kind() != std::io::ErrorKind::NotFound => {
                Err(io_fault("remove", &format!("cannot remove blob {digest}"), &error))
            }
            _ => Ok(()),
        }
    }

    /// Bytes and files of all blobs.
    pub fn usage(&self) -> Result<(u64, u64)> {
        let mut total = (0, 0);
        for (_, path) in self.files()? {
            if let Ok(meta) = fs::metadata(&path) {
                total = (total.0 + meta.len(), total.1 + 1);
            }
        }
        Ok(total)
    }

    /// Every blob file: its digest as text, and its path.
    pub(crate) fn files(&self) -> Result<Vec<(String, PathBuf)>> {
        let mut files = Vec::new();
        for algorithm in ["sha256", "sha512"] {
            let folder = self.folder.join("blobs").join(algorithm);
            let fault = |error: &std::io::Error| io_fault("read", &format!("cannot list {}", folder.display()), error);
            for entry in fs::read_dir(&folder).map_err(|e| fault(&e))? {
                let entry = entry.map_err(|e| fault(&e))?;
                files.push((format!("{algorithm}:{}", entry.file_name().to_string_lossy()), entry.path()));
            }
        }
        Ok(files)
    }

    /// Reads what the writer of `reference` has written and goes on with it until the blob is committed as `digest`.
    pub(crate) fn follower(&self, reference: &str, digest: &Digest, growing: Growing) -> GrowingReader {
        GrowingReader::new([self.ingest_folder(reference).join("data"), self.path(digest)], growing)
    }

    fn ingest_folder(&self, reference: &str) -> PathBuf {
        self.folder.join("ingest").join(Digest::sha256(reference.as_bytes()).hex())
    }

    fn blob_folder(&self, digest: &Digest) -> PathBuf {
        self.folder.join("blobs").join(digest.algorithm().name())
    }

    fn release(&self, reference: &str) {
        self.busy.lock().unwrap_or_else(PoisonError::into_inner).remove(reference);
    }
}

/// Downloads that nobody went on with for long are given up.
fn remove_stale(ingests: &Path) -> Result<()> {
    let fault = |error: &std::io::Error| io_fault("open", &format!("cannot clean {}", ingests.display()), error);
    for entry in fs::read_dir(ingests).map_err(|e| fault(&e))? {
        let entry = entry.map_err(|e| fault(&e))?;
        let changed = entry.metadata().and_then(|meta| meta.modified()).map_err(|e| fault(&e))?;
        if changed.elapsed().is_ok_and(|age| age > INGEST_LIFE) {
            fs::remove_dir_all(entry.path()).map_err(|e| fault(&e))?;
        }
    }
    Ok(())
}

pub(crate) fn sync_folder(path: &Path) -> Result<()> {
    let synced = File::open(path).and_then(|folder| folder.sync_all());
    synced.map_err(|error| io_fault("commit", &format!("cannot sync {}", path.display()), &error))
}

#[cfg(test)]
mod tests;
