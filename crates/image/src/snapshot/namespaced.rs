//! A snapshotter as one namespace sees it: its own keys, and the chain IDs that all share.

use super::{SnapshotInfo, SnapshotUsage, Snapshotter};
use plimsoll_fault::Result;
use plimsoll_spec::digest::Digest;
use plimsoll_spec::mount::MountDescription;
use std::collections::BTreeMap;

type Freed = Box<dyn Fn(&str) -> Result<()> + Send + Sync>;

pub(crate) struct Namespaced<S> {
    pub(crate) inner: S,
    pub(crate) namespace: String,
    /// Told the parent of each snapshot that was removed: nothing may stand on it any more.
    pub(crate) freed: Freed,
}

impl<S> Namespaced<S> {
    fn key(&self, key: &str) -> String {
        if key.parse::<Digest>().is_ok() { key.to_owned() } else { format!("{}/{key}", self.namespace) }
    }

    fn strip(&self, key: String) -> Option<String> {
        match key.split_once('/') {
            None => Some(key),
            Some((namespace, rest)) if namespace == self.namespace => Some(rest.to_owned()),
            Some(_) => None,
        }
    }

    fn seen(&self, mut info: SnapshotInfo) -> Option<SnapshotInfo> {
        info.key = self.strip(info.key)?;
        info.parent = info.parent.and_then(|parent| self.strip(parent));
        Some(info)
    }
}

impl<S: Snapshotter> Snapshotter for Namespaced<S> {
    fn prepare(
        &self,
        key: &str,
        parent: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Vec<MountDescription>> {
        self.inner.prepare(&self.key(key), parent.map(|p| self.key(p)).as_deref(), labels)
    }

    fn view(&self, key: &str, parent: Option<&str>, labels: BTreeMap<String, String>) -> Result<Vec<MountDescription>> {
        self.inner.view(&self.key(key), parent.map(|p| self.key(p)).as_deref(), labels)
    }

    fn commit(&self, name: &str, key: &str, labels: BTreeMap<String, String>) -> Result<()> {
        self.inner.commit(&self.key(name), &self.key(key), labels)
    }

    fn mounts(&self, key: &str) -> Result<Vec<MountDescription>> {
        self.inner.mounts(&self.key(key))
    }

    fn stat(&self, key: &str) -> Result<SnapshotInfo> {
        let info = self.inner.stat(&self.key(key))?;
        Ok(self.seen(info.clone()).unwrap_or(info))
    }

    fn usage(&self, key: &str) -> Result<SnapshotUsage> {
        self.inner.usage(&self.key(key))
    }

    fn remove(&self, key: &str) -> Result<()> {
        let key = self.key(key);
        let parent = self.inner.stat(&key)?.parent;
        self.inner.remove(&key)?;
        parent.map_or(Ok(()), |parent| (self.freed)(&parent))
    }

    fn walk(&self) -> Result<Vec<SnapshotInfo>> {
        Ok(self.inner.walk()?.into_iter().filter_map(|info| self.seen(info)).collect())
    }

    fn label(&self, key: &str, labels: BTreeMap<String, String>) -> Result<()> {
        self.inner.label(&self.key(key), labels)
    }
}
