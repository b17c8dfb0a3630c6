//! Layers are not synced while a pull waits: their blobs are durable and can be unpacked again. Afterwards the file system
//! is flushed once and the layers are marked; after an unclean boot those without the mark are made anew.

use super::{Overlay, SnapshotRecord, Staged, inherit, join, split};
use crate::db::Entry;
use crate::fault::io_fault;
use crate::layer::Applied;
use plimsoll_fault::Result;
use rustix::fs::{Mode, OFlags};
use std::io::Read;

/// Identifies this boot of the kernel.
pub(super) fn boot_id() -> Result<String> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let mut text = String::new();
    let read = std::fs::File::open(PATH).and_then(|file| file.take(64).read_to_string(&mut text));
    read.map_err(|error| io_fault("open", &format!("cannot read {PATH}"), &error))?;
    Ok(text.trim().to_owned())
}

impl Overlay {
    /// Flushes the file system and marks the layers that were committed before.
    pub(crate) fn sync(&self) -> Result<()> {
        let unsynced = self.unsynced()?;
        if unsynced.is_empty() {
            return Ok(());
        }
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let folder = rustix::fs::open(&*self.folder, flags, Mode::empty());
        folder.and_then(rustix::fs::syncfs).map_err(|errno| {
            io_fault("sync", &format!("cannot flush {}", self.folder.display()), &std::io::Error::from(errno))
        })?;
        self.db.write(|txn| {
            for entry in unsynced {
                txn.update(&self.records, &entry.namespace, &entry.id, |record| {
                    // Made anew meanwhile: that one waits for the next flush.
                    if record.value.number == entry.record.value.number {
                        record.value.unsynced_in = None;
                    }
                    Ok(())
                })?;
            }
            Ok(())
        })
    }

    pub(super) fn unsynced(&self) -> Result<Vec<Entry<SnapshotRecord>>> {
        let mut entries = self.records.list_all()?;
        entries.retain(|entry| entry.record.value.unsynced_in.is_some());
        Ok(entries)
    }

    /// Layers that an earlier boot wrote and never flushed: bottom first, with their parents.
    pub(crate) fn doubtful(&self) -> Result<Vec<(String, Option<String>)>> {
        let mut entries = self.unsynced()?;
        entries.retain(|entry| entry.record.value.unsynced_in.as_deref() != Some(&*self.boot));
        entries.sort_by_key(|entry| entry.record.created_at);
        Ok(entries.iter().map(|entry| (join(entry), entry.record.value.parent.clone())).collect())
    }

    /// Puts a layer made anew in the place of a doubtful one.
    pub(crate) fn replace(
        &self,
        mut staged: Staged,
        name: &str,
        parent: Option<&str>,
        applied: &Applied,
    ) -> Result<()> {
        let below = self.lowers(parent)?;
        inherit(&staged.files(), &applied.implied, &below, self.rights.chown).map_err(|errno| {
            let error = std::io::Error::from(errno);
            io_fault("repair", &format!("cannot complete the folders of layer {name}"), &error)
        })?;
        let (namespace, id) = split(name);
        let old = self.db.write(|txn| {
            txn.update(&self.records, namespace, id, |record| {
                record.value.unsynced_in = Some(self.boot.to_string());
                Ok(std::mem::replace(&mut record.value.number, staged.number))
            })
        })?;
        staged.adopted = old.is_some();
        if let Some(old) = old {
            self.discard(old);
        }
        Ok(())
    }
}
