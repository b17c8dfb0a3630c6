//! Pull: resolve, fetch, verify, unpack, record. Each reference, blob and chain is worked on once, whoever asks.

mod download;
mod flight;
mod layers;
mod leader;
mod progress;
mod resolve;

pub(crate) use flight::Flights;
pub(crate) use leader::Leader;
pub(crate) use progress::Hub;

use crate::content::Growing;
use crate::store::{Auth, Hold, Image, Inner, PullRequest};
use plimsoll_fault::Result;
use plimsoll_spec::digest::{Digest, chain_ids};
use plimsoll_spec::image::Descriptor;
use plimsoll_spec::reference::Reference;
use std::sync::Arc;

/// One pull, as all its tasks see it.
pub(crate) struct Job {
    pub(crate) store: Arc<Inner>,
    pub(crate) namespace: String,
    pub(crate) reference: Reference,
    pub(crate) auth: Option<Auth>,
    pub(crate) hub: Arc<Hub>,
    /// Keeps the collector off what this pull uses.
    pub(crate) hold: Hold,
}

/// Who may share a pull: the same name asked for with the same credentials in the same namespace.
pub(crate) type PullKey = (String, Reference, Option<Auth>);

pub(crate) async fn pull(store: &Arc<Inner>, request: PullRequest) -> Result<Image> {
    let reference = request.reference.or_latest();
    let shown = reference.to_string();
    let key = (request.namespace.clone(), reference.clone(), request.auth.clone());
    let flight = store.pulls.join(&key, || {
        let hub = Arc::new(Hub::default());
        let job = Arc::new(Job {
            store: Arc::clone(store),
            namespace: request.namespace,
            reference,
            auth: request.auth,
            hub: Arc::clone(&hub),
            hold: Hold::new(store),
        });
        (hub, run(job))
    });
    if let Some(sink) = request.progress {
        flight.shared.add(sink);
    }
    flight.wait().await.map_err(|fault| fault.of_image(&shown))
}

async fn run(job: Arc<Job>) -> Result<Image> {
    let pulled = fetch(&job).await;
    let store = Arc::clone(&job.store);
    drop(job);
    if pulled.is_err() {
        // What the failed pull brought and nobody else needs goes at once.
        let collected = Inner::blocking(move || store.collect()).await;
        if let Err(fault) = collected {
            tracing::warn!(%fault, "cannot clean up after a failed pull");
        }
        return pulled;
    }
    Inner::flush_later(store);
    pulled
}

async fn fetch(job: &Arc<Job>) -> Result<Image> {
    let plan = resolve::resolve(job).await?;
    let chain = chain_ids(&plan.config.rootfs.diff_ids);
    layers::layers(job, &plan.manifest.layers, &plan.config.rootfs.diff_ids, &chain).await?;
    let mut blobs = plan.documents;
    blobs.extend(plan.manifest.layers.iter().cloned());
    // A layer that is used twice is stored once.
    blobs.sort_by(|a, b| a.digest.cmp(&b.digest));
    blobs.dedup_by(|a, b| a.digest == b.digest);
    let (store, namespace, reference) = (Arc::clone(&job.store), job.namespace.clone(), job.reference.clone());
    let id = plan.manifest.config.digest.clone();
    Inner::blocking(move || store.record(&namespace, &reference, &plan.top, id, plan.target, blobs, plan.config, chain))
        .await
}

impl Job {
    /// Stores a document that is at hand.
    async fn keep(&self, blob: &Descriptor, bytes: Vec<u8>) -> Result<()> {
        self.hold.add(&blob.digest);
        let (content, namespace, digest) = (self.store.content.clone(), self.namespace.clone(), blob.digest.clone());
        Inner::blocking(move || content.put(&namespace, &digest, &bytes)).await
    }
}

/// Makes a blob be there and this namespace's: finds it, joins its download, or downloads it.
async fn blob(job: &Job, blob: &Descriptor, index: Option<usize>) -> Result<()> {
    job.hold.add(&blob.digest);
    loop {
        if job.adopt_if_there(blob).await? {
            return Ok(());
        }
        let flight = start(job, blob, index);
        let (_, leader) = flight.shared.clone();
        match flight.wait().await {
            Err(fault) if leader.failed_alone(job, &fault) => {}
            Err(fault) => return Err(fault),
            Ok(()) => {}
        }
    }
}

/// Joins or starts the download of a blob.
fn start(job: &Job, blob: &Descriptor, index: Option<usize>) -> flight::Flight<(), (Growing, Leader)> {
    job.store.blobs.join(&blob.digest, || {
        let growing = Growing::new();
        let own = Arc::new(job.share());
        ((growing.clone(), Leader::of(job)), download::download(own, blob.clone(), index, growing))
    })
}

impl Job {
    /// The same pull for a task that may outlive this one.
    fn share(&self) -> Job {
        Job {
            store: Arc::clone(&self.store),
            namespace: self.namespace.clone(),
            reference: self.reference.clone(),
            auth: self.auth.clone(),
            hub: Arc::clone(&self.hub),
            hold: self.hold.clone(),
        }
    }

    async fn adopt_if_there(&self, blob: &Descriptor) -> Result<bool> {
        let (content, namespace, blob) = (self.store.content.clone(), self.namespace.clone(), blob.clone());
        Inner::blocking(move || match content.size(&blob.digest)? {
            None => Ok(false),
            Some(size) if size == blob.size => {
                content.adopt(&namespace, &blob.digest, std::collections::BTreeMap::new())?;
                Ok(true)
            }
            Some(size) => Err(crate::fault::lost(
                "fetch",
                &format!("blob {} has {size} bytes on disk, its descriptor says {}", blob.digest, blob.size),
            )),
        })
        .await
    }
}

/// What a chain of layers is known by.
pub(crate) type ChainKey = Digest;

#[cfg(test)]
mod tests;
