//! The one garbage collector: what no image, snapshot, lease or pull under way needs is removed.

use super::Inner;
use crate::db::{Entry, Txn};
use crate::snapshot::{SnapshotKind, SnapshotRecord};
use plimsoll_fault::Result;
use plimsoll_spec::digest::Digest;
use serde::{Deserialize, Serialize};
use std::collections::{HashMap, HashSet};
use std::sync::{Arc, Mutex, PoisonError};

/// A promise that records naming it are kept until it is given up.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct LeaseRecord {
    /// Nanoseconds since 1970 UTC; `None` never expires.
    pub(crate) expires_at: Option<u64>,
}

/// Digests that pulls under way use, counted. Taken before a look at what is there, so that the collector either has done
/// its work or knows better.
#[derive(Clone, Default)]
pub(crate) struct Holds(Arc<Mutex<HashMap<Digest, usize>>>);

/// One pull's holds; given up when the last clone is dropped.
#[derive(Clone)]
pub(crate) struct Hold(Arc<Held>);

struct Held {
    holds: Holds,
    own: Mutex<HashSet<Digest>>,
}

impl Hold {
    pub(crate) fn new(store: &Inner) -> Self {
        Self(Arc::new(Held { holds: store.holds.clone(), own: Mutex::default() }))
    }

    pub(crate) fn add(&self, digest: &Digest) {
        if self.0.own.lock().unwrap_or_else(PoisonError::into_inner).insert(digest.clone()) {
            *self.0.holds.0.lock().unwrap_or_else(PoisonError::into_inner).entry(digest.clone()).or_default() += 1;
        }
    }
}

impl Drop for Held {
    fn drop(&mut self) {
        let mut holds = self.holds.0.lock().unwrap_or_else(PoisonError::into_inner);
        for digest in self.own.lock().unwrap_or_else(PoisonError::into_inner).drain() {
            if let Some(count) = holds.get_mut(&digest) {
                *count -= 1;
                if *count == 0 {
                    holds.remove(&digest);
                }
            }
        }
    }
}

impl Inner {
    /// A snapshot on `parent` went: if no image leads to it, its layers may be nobody's now.
    pub(crate) fn collect_freed(&self, parent: &str) -> Result<()> {
        let images = self.images.list_all()?;
        let used = images.iter().flat_map(|image| &image.record.value.chain).any(|chain| chain.to_string() == parent);
        if used { Ok(()) } else { self.collect() }
    }

    /// Marks and sweeps. Blob files go at once, folders of snapshots in the background.
    pub(crate) fn collect(&self) -> Result<()> {
        let holds = self.holds.0.lock().unwrap_or_else(PoisonError::into_inner);
        let held = |name: &str| name.parse::<Digest>().is_ok_and(|digest| holds.contains_key(&digest));
        let (recorded, numbers) = self.db.write(|txn| {
            let marks = self.mark(txn)?;
            for entry in txn.list(self.content.table(), None)? {
                let used = marks.blobs.get(&entry.namespace).is_some_and(|own| own.contains(&entry.id));
                if !held(&entry.id) && !used && !marks.leased(&entry.namespace, &entry.record.lease) {
                    txn.remove(self.content.table(), &entry.namespace, &entry.id)?;
                }
            }
            let mut numbers = Vec::new();
            let snapshots = txn.list(self.overlay.table(), None)?;
            for entry in unused(&snapshots, &marks, holds.keys()) {
                txn.remove(self.overlay.table(), &entry.namespace, &entry.id)?;
                numbers.push(entry.record.value.number);
            }
            let left = txn.list(self.content.table(), None)?.into_iter().map(|entry| entry.id);
            Ok((left.collect::<HashSet<String>>(), numbers))
        })?;
        for number in numbers {
            self.overlay.discard(number);
        }
        for (name, _) in self.content.files()? {
            if let Some(digest) = name.parse().ok().filter(|_| !recorded.contains(&name) && !held(&name)) {
                self.content.unlink(&digest)?;
            }
        }
        drop(holds);
        Ok(())
    }

    fn mark(&self, txn: &Txn) -> Result<Marks> {
        let now = crate::db::now();
        let mut marks = Marks::default();
        for lease in txn.list(&self.leases, None)? {
            if lease.record.value.expires_at.is_none_or(|at| at > now) {
                marks.leases.insert((lease.namespace, lease.id));
            }
        }
        for image in txn.list(&self.images, None)? {
            let own = marks.blobs.entry(image.namespace).or_default();
            own.extend(image.record.value.blobs.iter().map(|blob| blob.digest.to_string()));
            marks.chains.extend(image.record.value.chain.iter().map(Digest::to_string));
        }
        Ok(marks)
    }
}

/// What is needed by records alone.
#[derive(Default)]
struct Marks {
    /// Digests by namespace.
    blobs: HashMap<String, HashSet<String>>,
    chains: HashSet<String>,
    /// Live leases by namespace and id.
    leases: HashSet<(String, String)>,
}

impl Marks {
    fn leased(&self, namespace: &str, lease: &Option<String>) -> bool {
        lease.as_ref().is_some_and(|lease| self.leases.contains(&(namespace.to_owned(), lease.clone())))
    }
}

/// Committed snapshots that neither an image's chain nor, through parents, anything alive leads to.
fn unused<'e, 'h>(
    snapshots: &'e [Entry<SnapshotRecord>],
    marks: &Marks,
    held: impl Iterator<Item = &'h Digest>,
) -> Vec<&'e Entry<SnapshotRecord>> {
    let by_key: HashMap<String, &Entry<SnapshotRecord>> = snapshots.iter().map(|entry| (key(entry), entry)).collect();
    let mut used = HashSet::new();
    let roots = snapshots.iter().filter(|entry| {
        let committed = entry.record.value.kind == SnapshotKind::Committed;
        !committed || !entry.namespace.is_empty() || marks.leased(&entry.namespace, &entry.record.lease)
    });
    let mut next: Vec<String> = roots.map(key).collect();
    next.extend(marks.chains.iter().cloned());
    next.extend(held.map(Digest::to_string));
    while let Some(name) = next.pop() {
        if let Some(entry) = by_key.get(&name)
            && used.insert(name)
        {
            next.extend(entry.record.value.parent.clone());
        }
    }
    snapshots.iter().filter(|entry| !used.contains(&key(entry))).collect()
}

fn key(entry: &Entry<SnapshotRecord>) -> String {
    if entry.namespace.is_empty() { entry.id.clone() } else { format!("{}/{}", entry.namespace, entry.id) }
}
