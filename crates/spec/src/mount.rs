//! A mount as data: what a snapshotter returns, what the task line carries, what a shim performs.

use serde::{Deserialize, Serialize};

/// One mount to perform, in containerd's terms (`api/types/mount.proto`): filesystem type, source, target relative to the
/// rootfs (empty for the rootfs itself) and fstab-style options.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct MountDescription {
    #[serde(rename = "type")]
    pub kind: String,
    pub source: String,
    #[serde(default)]
    pub target: String,
    #[serde(default)]
    pub options: Vec<String>,
}
