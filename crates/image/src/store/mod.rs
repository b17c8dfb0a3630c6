//! The store as its users see it: open, pull, look up, remove, account for.

mod collect;
mod images;
mod repair;

pub(crate) use collect::{Hold, Holds, LeaseRecord};
pub(crate) use images::ImageRecord;

use crate::content::{Content, Growing};
use crate::db::{Db, Table};
use crate::layer::Rights;
use crate::limits::DOWNLOADS;
use crate::pull::{ChainKey, Flights, Hub, Leader, PullKey};
use crate::registry::{Client, RegistryConfig};
use crate::snapshot::namespaced::Namespaced;
use crate::snapshot::{Overlay, Snapshotter};
use plimsoll_fault::{Fault, Layer, Result};
use plimsoll_spec::digest::Digest;
use plimsoll_spec::image::{Descriptor, ImageConfig};
use plimsoll_spec::platform::Platform;
use plimsoll_spec::reference::Reference;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError};
use tokio::sync::Semaphore;
use tokio::task::JoinSet;

/// How the store is wired. Everything below the database's root belongs to it.
pub struct Config {
    pub db: Db,
    pub registry: RegistryConfig,
    pub platform: Platform,
    pub rights: Rights,
}

impl Config {
    /// This host's platform, no mirrors, root's rights.
    pub fn new(db: Db) -> Self {
        Self { db, registry: RegistryConfig::default(), platform: Platform::host(), rights: Rights::ROOT }
    }
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
pub struct Store(Arc<Inner>);

/// What all handles and all tasks of the store share.
pub(crate) struct Inner {
    pub(crate) db: Db,
    pub(crate) content: Content,
    pub(crate) overlay: Overlay,
    pub(crate) client: Client,
    pub(crate) rights: Rights,
    pub(crate) images: Table<ImageRecord>,
    pub(crate) leases: Table<LeaseRecord>,
    pub(crate) holds: Holds,
    pub(crate) pulls: Flights<PullKey, Image, Arc<Hub>>,
    pub(crate) blobs: Flights<Digest, (), (Growing, Leader)>,
    pub(crate) chains: Flights<ChainKey, (), Leader>,
    pub(crate) downloads: Semaphore,
    pub(crate) unpacks: Semaphore,
    /// Flushes under way.
    flushes: Mutex<JoinSet<()>>,
    platform: Platform,
}

impl Inner {
    pub(crate) fn platform(&self) -> &Platform {
        &self.platform
    }

    /// Brings what was unpacked to the disk. Nobody waits for it: until it is done, a power cut costs an unpacking at the
    /// next start.
    pub(crate) fn flush_later(store: Arc<Self>) {
        let own = Arc::clone(&store);
        let mut flushes = store.flushes.lock().unwrap_or_else(PoisonError::into_inner);
        // Those that have ended are of no more interest.
        while flushes.try_join_next().is_some() {}
        flushes.spawn(async move {
            let overlay = own.overlay.clone();
            drop(own);
            if let Err(fault) = Self::blocking(move || overlay.sync()).await {
                tracing::warn!(%fault, "cannot flush what was unpacked");
            }
        });
    }

    /// Runs disk work on a blocking thread.
    pub(crate) async fn blocking<T: Send + 'static>(act: impl FnOnce() -> Result<T> + Send + 'static) -> Result<T> {
        tokio::task::spawn_blocking(act)
            .await
            .unwrap_or_else(|_| Err(Fault::new(Layer::Daemon, "store", "a disk task of the store panicked")))
    }
}

impl Store {
    /// Opens the store in the database's root, removing what a crash left half done.
    pub async fn open(config: Config) -> Result<Self> {
        let client = Client::new(config.registry)?;
        let (db, rights) = (config.db, config.rights);
        let opening = move || {
            let content = Content::open(&db)?;
            let overlay = Overlay::open(&db, rights)?;
            let cores = std::thread::available_parallelism().map_or(2, usize::from);
            let inner = Inner {
                images: db.table("images"),
                leases: db.table("leases"),
                content,
                overlay,
                client,
                rights,
                holds: Holds::default(),
                pulls: Flights::default(),
                blobs: Flights::default(),
                chains: Flights::default(),
                downloads: Semaphore::new(DOWNLOADS),
                unpacks: Semaphore::new(cores),
                flushes: Mutex::default(),
                platform: config.platform.normalized(),
                db,
            };
            inner.repair()?;
            Ok(Self(Arc::new(inner)))
        };
        Inner::blocking(opening).await
    }

    /// Fetches, verifies and unpacks. Calls for the same reference, blob or chain join the one under way.
    pub async fn pull(&self, request: PullRequest) -> Result<Image> {
        crate::pull::pull(&self.0, request).await
    }

    /// All images of a namespace.
    pub async fn images(&self, namespace: &str) -> Result<Vec<Image>> {
        let (inner, namespace) = (Arc::clone(&self.0), namespace.to_owned());
        Inner::blocking(move || inner.list_images(&namespace)).await
    }

    /// By tag, digest reference, id (`sha256:…`) or a unique prefix of the id's hexadecimal part.
    pub async fn image(&self, namespace: &str, name: &str) -> Result<Option<Image>> {
        let (inner, namespace, name) = (Arc::clone(&self.0), namespace.to_owned(), name.to_owned());
        Inner::blocking(move || inner.find_image(&namespace, &name)).await
    }

    /// Removes the image that `name` stands for, with all its names, and what only it needed. Layers that a container's
    /// snapshot stands on stay until that goes. Says whether it was there.
    pub async fn remove_image(&self, namespace: &str, name: &str) -> Result<bool> {
        let (inner, namespace, name) = (Arc::clone(&self.0), namespace.to_owned(), name.to_owned());
        Inner::blocking(move || {
            let there = inner.forget_image(&namespace, &name)?;
            if there {
                inner.collect()?;
            }
            Ok(there)
        })
        .await
    }

    /// Removes what nothing needs any more; for after the last container on a removed image is gone.
    pub async fn collect(&self) -> Result<()> {
        let inner = Arc::clone(&self.0);
        Inner::blocking(move || inner.collect()).await
    }

    /// Blobs and committed layers. What containers write is theirs: [`Snapshotter::usage`] tells.
    pub async fn usage(&self) -> Result<Usage> {
        let inner = Arc::clone(&self.0);
        Inner::blocking(move || {
            let (bytes, inodes) = inner.content.usage()?;
            let layers = inner.overlay.known_usage()?;
            let add = |total: Usage, layer: &crate::snapshot::SnapshotUsage| Usage {
                bytes: total.bytes + layer.bytes,
                inodes: total.inodes + layer.inodes,
            };
            Ok(layers.values().fold(Usage { bytes, inodes }, add))
        })
        .await
    }

    /// The default snapshotter for keys of `namespace`; chain IDs are shared between namespaces.
    pub fn snapshotter(&self, namespace: &str) -> Result<Arc<dyn Snapshotter>> {
        let store = Arc::clone(&self.0);
        let freed = Box::new(move |parent: &str| store.collect_freed(parent));
        Ok(Arc::new(Namespaced { inner: self.0.overlay.clone(), namespace: namespace.to_owned(), freed }))
    }

    /// Ends what goes on behind the callers' backs and gives the root up if this was the last handle.
    pub async fn close(self) {
        let mut flushes = std::mem::take(&mut *self.0.flushes.lock().unwrap_or_else(PoisonError::into_inner));
        while flushes.join_next().await.is_some() {}
        self.settle().await;
    }

    pub fn content(&self) -> &Content {
        &self.0.content
    }

    pub fn platform(&self) -> &Platform {
        &self.0.platform
    }

    /// Waits until removed snapshots are gone from the disk.
    pub async fn settle(&self) {
        let overlay = self.0.overlay.clone();
        let settled = Inner::blocking(move || {
            overlay.settle();
            Ok(())
        });
        if let Err(fault) = settled.await {
            tracing::warn!(%fault, "cannot wait for removed snapshots");
        }
    }
}
