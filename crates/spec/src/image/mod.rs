//! The OCI image format 1.1 and Docker schema 2: descriptors, index, manifest, config; which document a text is.

mod config;
mod manifest;
pub mod media_type;

pub use config::{ContainerConfig, Healthcheck, History, ImageConfig, RootFs};
pub use manifest::{Descriptor, Document, DocumentError, Index, Manifest};

use serde::{Deserialize, Deserializer};

/// Largest manifest or index taken from anywhere: what distribution-spec asks registries to accept.
pub const MANIFEST_MAX: u64 = 4 << 20;
/// Largest image config. Histories of real images stay far below; docker has no bound, containerd 8 MiB.
pub const CONFIG_MAX: u64 = 8 << 20;
/// Most layers of one image. overlayfs takes 500 lowers; docker stops at 127.
pub const LAYERS_MAX: usize = 500;
/// Most entries of one index.
pub const INDEX_ENTRIES_MAX: usize = 4096;

/// Takes `null` for an empty value: Go's encoders write nil slices and maps so.
pub(crate) fn null_default<'de, D, T>(deserializer: D) -> Result<T, D::Error>
where
    D: Deserializer<'de>,
    T: Default + Deserialize<'de>,
{
    Ok(Option::<T>::deserialize(deserializer)?.unwrap_or_default())
}
