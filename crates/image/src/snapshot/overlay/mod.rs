//! The overlayfs snapshotter: `ROOT/snapshots/overlayfs/<number>/{fs,work}`. Committed folders are lowers, an active one is
//! the upper. Layers may be written straight into a folder ([`Overlay::stage`]) and join their chain when complete.

mod sync;

use super::{SnapshotInfo, SnapshotKind, SnapshotUsage, Snapshotter, tree};
use crate::db::{Db, Entry, Record, Table, Txn};
use crate::fault::{io_fault, make_folder};
use crate::layer::{Applied, Rights, inherit};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::mount::MountDescription;
use serde::{Deserialize, Serialize};
use std::collections::{BTreeMap, HashMap, HashSet};
use std::fs;
use std::os::unix::fs::{MetadataExt, PermissionsExt, chown};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

/// What is stored of a snapshot.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub(crate) struct SnapshotRecord {
    pub(crate) number: u64,
    pub(crate) kind: SnapshotKind,
    pub(crate) parent: Option<String>,
    pub(crate) updated_at: u64,
    #[serde(default)]
    pub(crate) usage: Option<SnapshotUsage>,
    /// The boot in which its files were written, until they are known to be on the disk.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub(crate) unsynced_in: Option<String>,
}

/// A handle; clones share the counter.
#[derive(Clone)]
pub struct Overlay {
    db: Db,
    records: Table<SnapshotRecord>,
    folder: Arc<PathBuf>,
    next: Arc<AtomicU64>,
    rights: Rights,
    sweeper: tree::Sweeper,
    boot: Arc<str>,
}

/// A folder being filled with a layer; removed when dropped without being adopted.
pub(crate) struct Staged {
    number: u64,
    folder: PathBuf,
    sweeper: tree::Sweeper,
    adopted: bool,
}

impl Staged {
    /// Where the layer's files go.
    pub(crate) fn files(&self) -> PathBuf {
        self.folder.join("fs")
    }
}

impl Drop for Staged {
    fn drop(&mut self) {
        if !self.adopted {
            self.sweeper.remove_now(&self.folder);
        }
    }
}

/// Keys are `NAMESPACE/NAME`, or a bare chain ID that all namespaces share.
fn split(key: &str) -> (&str, &str) {
    key.split_once('/').unwrap_or(("", key))
}

fn join(entry: &Entry<SnapshotRecord>) -> String {
    if entry.namespace.is_empty() { entry.id.clone() } else { format!("{}/{}", entry.namespace, entry.id) }
}

impl Overlay {
    /// Removes folders that no record names: their maker died before recording them.
    pub fn open(db: &Db, rights: Rights) -> Result<Self> {
        let folder = db.root().join("snapshots/overlayfs");
        make_folder(&folder)?;
        let records: Table<SnapshotRecord> = db.table("snapshots-overlayfs");
        let known: HashSet<u64> = records.list_all()?.into_iter().map(|entry| entry.record.value.number).collect();
        let sweeper = tree::Sweeper::new();
        let mut last = known.iter().copied().max().unwrap_or(0);
        let fault = |error: &std::io::Error| io_fault("open", &format!("cannot list {}", folder.display()), error);
        for entry in fs::read_dir(&folder).map_err(|e| fault(&e))? {
            let entry = entry.map_err(|e| fault(&e))?;
            let number = entry.file_name().to_str().and_then(|name| name.parse::<u64>().ok());
            last = last.max(number.unwrap_or(0));
            if number.is_none_or(|number| !known.contains(&number)) {
                sweeper.remove_soon(entry.path());
            }
        }
        let next = Arc::new(AtomicU64::new(last + 1));
        let boot = sync::boot_id()?.into();
        Ok(Self { db: db.clone(), records, folder: Arc::new(folder), next, rights, sweeper, boot })
    }

    /// An empty folder for a layer whose chain below need not be complete yet.
    pub(crate) fn stage(&self) -> Result<Staged> {
        let number = self.next.fetch_add(1, Ordering::Relaxed);
        let folder = self.number_folder(number);
        let staged = Staged { number, folder, sweeper: self.sweeper.clone(), adopted: false };
        make_folder(&staged.folder)?;
        make_folder(&staged.files())?;
        set_mode(&staged.files(), 0o755)?;
        Ok(staged)
    }

    /// Commits a staged layer as `name` on `parent`. A name that is there already keeps what it has.
    pub(crate) fn adopt(&self, mut staged: Staged, name: &str, parent: Option<&str>, applied: &Applied) -> Result<()> {
        let below = self.lowers(parent)?;
        inherit(&staged.files(), &applied.implied, &below, self.rights.chown).map_err(|errno| {
            let error = std::io::Error::from(errno);
            io_fault("commit", &format!("cannot complete the folders of layer {name}"), &error)
        })?;
        let mut record = self.record(staged.number, SnapshotKind::Committed, parent, Some(applied.usage));
        record.value.unsynced_in = Some(self.boot.to_string());
        let (namespace, id) = split(name);
        let inserted = self.db.write_soon(|txn| {
            self.check_parent(txn, parent)?;
            txn.insert(&self.records, namespace, id, &record)
        });
        match inserted {
            Ok(()) => {
                staged.adopted = true;
                Ok(())
            }
            Err(fault) if fault.class() == Kind::AlreadyExists => Ok(()),
            Err(fault) => Err(fault),
        }
    }

    /// Whether `name` is a committed snapshot.
    pub(crate) fn is_committed(&self, name: &str) -> Result<bool> {
        let (namespace, id) = split(name);
        Ok(self.records.read(namespace, id)?.is_some_and(|record| record.value.kind == SnapshotKind::Committed))
    }

    pub(crate) fn table(&self) -> &Table<SnapshotRecord> {
        &self.records
    }

    /// Frees the folder of a snapshot whose record is gone, in the background.
    pub(crate) fn discard(&self, number: u64) {
        self.sweeper.remove_soon(self.number_folder(number));
    }

    /// Waits until what was removed is gone from the disk.
    pub fn settle(&self) {
        self.sweeper.settle();
    }

    fn record(
        &self,
        number: u64,
        kind: SnapshotKind,
        parent: Option<&str>,
        usage: Option<SnapshotUsage>,
    ) -> Record<SnapshotRecord> {
        let parent = parent.map(str::to_owned);
        Record::new(SnapshotRecord { number, kind, parent, updated_at: crate::db::now(), usage, unsynced_in: None })
    }

    fn number_folder(&self, number: u64) -> PathBuf {
        self.folder.join(number.to_string())
    }

    fn read(&self, key: &str) -> Result<Record<SnapshotRecord>> {
        let (namespace, id) = split(key);
        self.records.read(namespace, id)?.ok_or_else(|| missing(key))
    }

    fn check_parent(&self, txn: &Txn, parent: Option<&str>) -> Result<()> {
        let Some(parent) = parent else { return Ok(()) };
        let (namespace, id) = split(parent);
        let record = txn.read(&self.records, namespace, id)?.ok_or_else(|| missing(parent))?;
        if record.value.kind == SnapshotKind::Committed {
            return Ok(());
        }
        Err(Fault::new(Layer::Store, "snapshot", format!("parent snapshot {parent} is not committed"))
            .kind(Kind::FailedPrecondition))
    }

    /// The folders of `parent` and all below it, topmost first.
    fn lowers(&self, parent: Option<&str>) -> Result<Vec<PathBuf>> {
        let mut folders = Vec::new();
        let mut next = parent.map(str::to_owned);
        while let Some(key) = next {
            let record = self.read(&key)?;
            folders.push(self.number_folder(record.value.number).join("fs"));
            next = record.value.parent;
        }
        Ok(folders)
    }

    fn create(
        &self,
        key: &str,
        parent: Option<&str>,
        kind: SnapshotKind,
        labels: BTreeMap<String, String>,
    ) -> Result<Vec<MountDescription>> {
        let lowers = self.lowers(parent)?;
        let mut staged = self.stage()?;
        if kind == SnapshotKind::Active {
            make_folder(&staged.folder.join("work"))?;
            if let Some(top) = lowers.first() {
                copy_root(top, &staged.files(), self.rights)?;
            }
        }
        let record = self.record(staged.number, kind, parent, None).with_labels(labels);
        let (namespace, id) = split(key);
        self.db.write(|txn| {
            self.check_parent(txn, parent)?;
            txn.insert(&self.records, namespace, id, &record)
        })?;
        staged.adopted = true;
        Ok(self.describe(&record.value, &lowers))
    }

    fn describe(&self, record: &SnapshotRecord, lowers: &[PathBuf]) -> Vec<MountDescription> {
        let own = self.number_folder(record.number);
        let bind = |source: &Path, mode: &str| MountDescription {
            kind: "bind".into(),
            source: source.display().to_string(),
            target: String::new(),
            options: vec![mode.into(), "rbind".into()],
        };
        let writable = record.kind == SnapshotKind::Active;
        match (writable, lowers) {
            (true, []) => return vec![bind(&own.join("fs"), "rw")],
            (false, []) => return vec![bind(&own.join("fs"), "ro")],
            (false, [only]) => return vec![bind(only, "ro")],
            _ => {}
        }
        let mut options = Vec::new();
        if writable {
            options.push(format!("workdir={}", own.join("work").display()));
            options.push(format!("upperdir={}", own.join("fs").display()));
        }
        let names: Vec<String> = lowers.iter().map(|path| path.display().to_string()).collect();
        options.push(format!("lowerdir={}", names.join(":")));
        if !self.rights.trusted_xattr {
            options.push("userxattr".to_owned());
        }
        vec![MountDescription { kind: "overlay".into(), source: "overlay".into(), target: String::new(), options }]
    }

    /// The record's lowers: an own folder of a committed snapshot counts as its topmost.
    fn info(entry: &Entry<SnapshotRecord>) -> SnapshotInfo {
        SnapshotInfo {
            key: join(entry),
            kind: entry.record.value.kind,
            parent: entry.record.value.parent.clone(),
            labels: entry.record.labels.clone(),
            created_at: entry.record.created_at,
            updated_at: entry.record.value.updated_at,
        }
    }
}

impl Snapshotter for Overlay {
    fn prepare(
        &self,
        key: &str,
        parent: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Vec<MountDescription>> {
        self.create(key, parent, SnapshotKind::Active, labels)
    }

    fn view(&self, key: &str, parent: Option<&str>, labels: BTreeMap<String, String>) -> Result<Vec<MountDescription>> {
        self.create(key, parent, SnapshotKind::View, labels)
    }

    fn commit(&self, name: &str, key: &str, labels: BTreeMap<String, String>) -> Result<()> {
        let usage = self.usage(key)?;
        let (namespace, id) = split(key);
        let (new_namespace, new_id) = split(name);
        self.db.write(|txn| {
            let mut record = txn.read(&self.records, namespace, id)?.ok_or_else(|| missing(key))?;
            if record.value.kind != SnapshotKind::Active {
                let what = format!("snapshot {key} is not active");
                return Err(Fault::new(Layer::Store, "commit", what).kind(Kind::FailedPrecondition));
            }
            record.value.kind = SnapshotKind::Committed;
            record.value.usage = Some(usage);
            record.value.updated_at = crate::db::now();
            record.labels = labels;
            txn.insert(&self.records, new_namespace, new_id, &record)?;
            txn.remove(&self.records, namespace, id)?;
            Ok(())
        })
    }

    fn mounts(&self, key: &str) -> Result<Vec<MountDescription>> {
        let record = self.read(key)?;
        if record.value.kind == SnapshotKind::Committed {
            let what = format!("snapshot {key} is committed: it has no mounts of its own");
            return Err(Fault::new(Layer::Store, "mounts", what).kind(Kind::FailedPrecondition));
        }
        let lowers = self.lowers(record.value.parent.as_deref())?;
        Ok(self.describe(&record.value, &lowers))
    }

    fn stat(&self, key: &str) -> Result<SnapshotInfo> {
        let record = self.read(key)?;
        let (namespace, id) = split(key);
        Ok(Self::info(&Entry { namespace: namespace.into(), id: id.into(), record }))
    }

    fn usage(&self, key: &str) -> Result<SnapshotUsage> {
        let record = self.read(key)?;
        match (record.value.kind, record.value.usage) {
            (_, Some(usage)) => Ok(usage),
            (SnapshotKind::View, None) => Ok(SnapshotUsage::default()),
            (_, None) => tree::usage(&self.number_folder(record.value.number).join("fs")),
        }
    }

    fn remove(&self, key: &str) -> Result<()> {
        let (namespace, id) = split(key);
        let number = self.db.write(|txn| {
            let record = txn.read(&self.records, namespace, id)?.ok_or_else(|| missing(key))?;
            let child =
                txn.list(&self.records, None)?.into_iter().find(|e| e.record.value.parent.as_deref() == Some(key));
            if let Some(child) = child {
                let what = format!("snapshot {key} is the parent of {}", join(&child));
                return Err(Fault::new(Layer::Store, "remove", what).kind(Kind::FailedPrecondition));
            }
            txn.remove(&self.records, namespace, id)?;
            Ok(record.value.number)
        })?;
        self.discard(number);
        Ok(())
    }

    fn walk(&self) -> Result<Vec<SnapshotInfo>> {
        Ok(self.records.list_all()?.iter().map(Self::info).collect())
    }

    fn label(&self, key: &str, labels: BTreeMap<String, String>) -> Result<()> {
        let (namespace, id) = split(key);
        let changed = self.records.update(namespace, id, |record| {
            record.labels = labels;
            record.value.updated_at = crate::db::now();
            Ok(())
        })?;
        changed.ok_or_else(|| missing(key))
    }
}

impl Overlay {
    /// All snapshots with their sizes as far as they are known without walking.
    pub(crate) fn known_usage(&self) -> Result<HashMap<String, SnapshotUsage>> {
        let entries = self.records.list_all()?;
        Ok(entries.iter().map(|entry| (join(entry), entry.record.value.usage.unwrap_or_default())).collect())
    }
}

fn missing(key: &str) -> Fault {
    Fault::new(Layer::Store, "snapshot", format!("there is no snapshot {key}")).kind(Kind::NotFound)
}

fn set_mode(path: &Path, mode: u32) -> Result<()> {
    let set = fs::set_permissions(path, fs::Permissions::from_mode(mode));
    set.map_err(|error| io_fault("snapshot", &format!("cannot set the mode of {}", path.display()), &error))
}

/// An upper's own root shows through as the container's `/`: it takes mode and owner of the lower's.
fn copy_root(from: &Path, to: &Path, rights: Rights) -> Result<()> {
    let fault = |error: &std::io::Error| io_fault("snapshot", &format!("cannot prepare {}", to.display()), error);
    let meta = fs::metadata(from).map_err(|e| fault(&e))?;
    if rights.chown {
        chown(to, Some(meta.uid()), Some(meta.gid())).map_err(|e| fault(&e))?;
    }
    set_mode(to, meta.mode() & 0o7777)
}

#[cfg(test)]
mod tests;
