//! Folders of snapshots as trees: their size, and removing them off the hot path.

use super::SnapshotUsage;
use crate::fault::io_fault;
use crate::removal;
use plimsoll_fault::Result;
use rustix::io::Errno;
use std::collections::HashSet;
use std::fs;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::sync::mpsc::{Sender, channel};
use std::sync::{Arc, Condvar, Mutex, PoisonError};

/// Allocated bytes and inodes below `root`, hard links once. What vanishes meanwhile is not counted.
pub(super) fn usage(root: &Path) -> Result<SnapshotUsage> {
    let mut total = SnapshotUsage::default();
    let mut seen = HashSet::new();
    let mut folders = vec![root.to_owned()];
    while let Some(folder) = folders.pop() {
        let entries = match fs::read_dir(&folder) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => continue,
            other => other.map_err(|e| io_fault("usage", &format!("cannot list {}", folder.display()), &e))?,
        };
        for entry in entries {
            let entry = entry.map_err(|e| io_fault("usage", &format!("cannot list {}", folder.display()), &e))?;
            let Ok(meta) = entry.metadata() else { continue };
            if meta.nlink() > 1 && !meta.is_dir() && !seen.insert((meta.dev(), meta.ino())) {
                continue;
            }
            total.bytes += meta.blocks() * 512;
            total.inodes += 1;
            if meta.is_dir() {
                folders.push(entry.path());
            }
        }
    }
    Ok(total)
}

/// One thread that removes trees, started when first needed.
#[derive(Clone)]
pub(super) struct Sweeper(Arc<Inner>);

struct Inner {
    queue: Mutex<Option<Sender<PathBuf>>>,
    pending: Arc<(Mutex<usize>, Condvar)>,
}

impl Sweeper {
    pub(super) fn new() -> Self {
        Self(Arc::new(Inner { queue: Mutex::new(None), pending: Arc::default() }))
    }

    /// Removes in the background; a crash before that is made good when the store is opened again.
    pub(super) fn remove_soon(&self, path: PathBuf) {
        *self.0.pending.0.lock().unwrap_or_else(PoisonError::into_inner) += 1;
        let mut queue = self.0.queue.lock().unwrap_or_else(PoisonError::into_inner);
        let sender = queue.get_or_insert_with(|| start(Arc::clone(&self.0.pending)));
        if let Err(unsent) = sender.send(path) {
            remove(&unsent.0);
            done(&self.0.pending);
        }
    }

    pub(super) fn remove_now(&self, path: &Path) {
        remove(path);
    }

    pub(super) fn settle(&self) {
        let mut pending = self.0.pending.0.lock().unwrap_or_else(PoisonError::into_inner);
        while *pending > 0 {
            pending = self.0.pending.1.wait(pending).unwrap_or_else(PoisonError::into_inner);
        }
    }
}

fn start(pending: Arc<(Mutex<usize>, Condvar)>) -> Sender<PathBuf> {
    let (sender, receiver) = channel::<PathBuf>();
    std::thread::spawn(move || {
        for path in receiver {
            remove(&path);
            done(&pending);
        }
    });
    sender
}

fn done(pending: &(Mutex<usize>, Condvar)) {
    *pending.0.lock().unwrap_or_else(PoisonError::into_inner) -= 1;
    pending.1.notify_all();
}

fn remove(path: &Path) {
    match removal::remove_path(path) {
        Err(error) if error != Errno::NOENT => {
            tracing::warn!(path = %path.display(), %error, "cannot remove a snapshot's folder; the next start tries again");
        }
        _ => {}
    }
}
