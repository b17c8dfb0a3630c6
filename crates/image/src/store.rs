//! The store as its users see it: open, pull, look up, remove, account for.

use crate::db::Db;
use crate::snapshot::Snapshotter;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::digest::Digest;
use plimsoll_spec::image::{Descriptor, ImageConfig};
use plimsoll_spec::platform::Platform;
use plimsoll_spec::reference::Reference;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::Arc;

/// How the store is wired. Everything below the database's root belongs to it.
pub struct Config {
    pub db: Db,
    pub registry: RegistryConfig,
    pub platform: Platform,
}

/// How registries are reached.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct RegistryConfig {
    /// Registry hosts (with port) spoken to over plain HTTP. Loopback addresses always may be.
    pub insecure: Vec<String>,
    /// Host as in the reference (or `*`) to endpoint URLs tried in order before the host itself.
    pub mirrors: BTreeMap<String, Vec<String>>,
}

/// Credentials of one pull. Never logged, never stored.
#[derive(Clone, PartialEq, Eq, Hash)]
pub enum Auth {
    Basic {
        username: String,
        password: String,
    },
    /// OAuth2 refresh token, exchanged at the token endpoint.
    IdentityToken(String),
    /// Sent as it is.
    RegistryToken(String),
}

/// One layer's progress. Bytes are of the compressed blob.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct LayerProgress {
    pub digest: Digest,
    pub stage: LayerStage,
    pub done: u64,
    pub total: u64,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum LayerStage {
    Waiting,
    Downloading,
    Unpacking,
    Done,
    /// Was there before.
    Exists,
}

/// The whole state of a pull; each send replaces the one before.
pub type Progress = tokio::sync::watch::Sender<Vec<LayerProgress>>;

pub struct PullRequest {
    pub namespace: String,
    pub reference: Reference,
    pub auth: Option<Auth>,
    pub progress: Option<Progress>,
}

/// An image of a namespace, by its config digest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Image {
    pub namespace: String,
    /// Config digest.
    pub id: Digest,
    /// `domain/path:tag`, sorted.
    pub tags: Vec<String>,
    /// `domain/path@digest`, sorted. The digest is that of what the registry answered (index or manifest).
    pub repo_digests: Vec<String>,
    /// The manifest of the chosen platform.
    pub target: Descriptor,
    /// Bytes of manifest, config and compressed layers together.
    pub size: u64,
    pub config: ImageConfig,
    /// Chain IDs, bottom first: names of committed snapshots. The last is the parent of a container's snapshot.
    pub chain: Vec<Digest>,
    pub labels: BTreeMap<String, String>,
    pub pinned: bool,
}

/// What the store takes on disk.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Usage {
    pub bytes: u64,
    pub inodes: u64,
}

/// A handle on the store; clones share it.
#[derive(Clone)]
pub struct Store(Arc<Config>);

impl Store {
    pub async fn open(config: Config) -> Result<Self> {
        Ok(Self(Arc::new(config)))
    }

    /// Fetches, verifies and unpacks. Calls for the same reference, blob or chain join the one under way.
    pub async fn pull(&self, request: PullRequest) -> Result<Image> {
        Err(missing("pull").of_image(&request.reference.to_string()))
    }

    /// All images of a namespace.
    pub async fn images(&self, _namespace: &str) -> Result<Vec<Image>> {
        Ok(Vec::new())
    }

    /// By tag, digest reference, id (`sha256:…`) or a unique prefix of the id's hexadecimal part.
    pub async fn image(&self, _namespace: &str, _name: &str) -> Result<Option<Image>> {
        Ok(None)
    }

    /// Removes the image that `name` stands for, with all its names, and what only it needed.
    /// Says whether it was there.
    pub async fn remove_image(&self, _namespace: &str, _name: &str) -> Result<bool> {
        Ok(false)
    }

    pub async fn usage(&self) -> Result<Usage> {
        Ok(Usage::default())
    }

    /// The default snapshotter for keys of `namespace`; chain IDs are shared between namespaces.
    pub fn snapshotter(&self, _namespace: &str) -> Result<Arc<dyn Snapshotter>> {
        Err(missing("snapshots"))
    }

    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }
}

fn missing(what: &str) -> Fault {
    Fault::new(Layer::Image, what, format!("{what} is not there yet")).kind(Kind::Unimplemented)
}
