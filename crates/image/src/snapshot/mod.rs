//! Snapshots: trees of files stacked on committed parents. Owns the contract; a snapshotter per file below.

mod look;
pub(crate) mod namespaced;
mod overlay;
#[cfg(any(test, feature = "testsuite"))]
pub mod testsuite;
mod tree;

pub use look::Look;
pub use overlay::Overlay;
pub(crate) use overlay::{SnapshotRecord, Staged};

use plimsoll_fault::Result;
use plimsoll_spec::mount::MountDescription;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;

/// What a snapshot is (containerd's kinds).
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum SnapshotKind {
    /// Read-only look at a committed parent.
    View,
    /// Writable; not yet usable as a parent.
    Active,
    /// Immutable; may be a parent.
    Committed,
}

/// What is known of a snapshot without looking at its files. Times are nanoseconds since 1970 UTC.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SnapshotInfo {
    pub key: String,
    pub kind: SnapshotKind,
    pub parent: Option<String>,
    pub labels: BTreeMap<String, String>,
    pub created_at: u64,
    pub updated_at: u64,
}

/// Disk use of a snapshot alone, without its parents.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct SnapshotUsage {
    pub bytes: u64,
    pub inodes: u64,
}

/// The contract, in containerd's semantics. Keys of active snapshots and names of committed ones share one name space.
/// A parent is always committed. All calls block on the disk: from async code, go through `spawn_blocking`.
///
/// - `prepare` and `view` of a taken key fail with `AlreadyExists`; of a parent that is missing or not committed with
///   `NotFound` or `FailedPrecondition`.
/// - `commit` turns an active snapshot into a committed one under a new name; the key is free again.
/// - `remove` of a snapshot that has children fails with `FailedPrecondition`.
/// - `mounts` returns descriptions; nobody mounts anything here. The caller mounts and unmounts.
///
/// `testsuite::run` states all of it as code and runs on any implementation.
pub trait Snapshotter: Send + Sync {
    fn prepare(
        &self,
        key: &str,
        parent: Option<&str>,
        labels: BTreeMap<String, String>,
    ) -> Result<Vec<MountDescription>>;
    fn view(&self, key: &str, parent: Option<&str>, labels: BTreeMap<String, String>) -> Result<Vec<MountDescription>>;
    fn commit(&self, name: &str, key: &str, labels: BTreeMap<String, String>) -> Result<()>;
    fn mounts(&self, key: &str) -> Result<Vec<MountDescription>>;
    fn stat(&self, key: &str) -> Result<SnapshotInfo>;
    fn usage(&self, key: &str) -> Result<SnapshotUsage>;
    fn remove(&self, key: &str) -> Result<()>;
    /// All snapshots, in key order.
    fn walk(&self) -> Result<Vec<SnapshotInfo>>;
    /// Replaces the labels.
    fn label(&self, key: &str, labels: BTreeMap<String, String>) -> Result<()>;
}
