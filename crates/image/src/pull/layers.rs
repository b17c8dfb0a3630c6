//! An image's layers: blobs and chains side by side. A layer is unpacked while it downloads and before the ones below it
//! are complete; it joins the chain when it is verified and they are.

use super::{Job, Leader, blob, download, start};
use crate::content::Growing;
use crate::layer::{Applied, unpack};
use crate::pull::flight::Flight;
use crate::snapshot::Staged;
use crate::store::{Inner, LayerStage};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::digest::Digest;
use plimsoll_spec::image::Descriptor;
use std::sync::Arc;

/// Makes all of `chain` be committed. The fault of the lowest layer that failed is the one that is told, and nothing is
/// still at work when it is.
pub(super) async fn layers(job: &Arc<Job>, blobs: &[Descriptor], diff_ids: &[Digest], chain: &[Digest]) -> Result<()> {
    job.hub.begin(blobs);
    for digest in chain.iter().chain(blobs.iter().map(|blob| &blob.digest)) {
        job.hold.add(digest);
    }
    let mut fetches = Vec::new();
    for (index, layer) in blobs.iter().enumerate() {
        let (job, layer) = (Arc::clone(job), layer.clone());
        fetches.push(tokio::spawn(async move { blob(&job, &layer, Some(index)).await }));
    }
    let mut flights = commit(job, blobs, diff_ids, chain).await?;
    let mut fetched = Ok(());
    for fetch in fetches {
        let fetch =
            fetch.await.unwrap_or_else(|_| Err(Fault::new(Layer::Daemon, "pull", "a download's task panicked")));
        fetched = fetched.and(fetch);
    }
    loop {
        let (first, alone) = land(job, blobs, flights).await;
        // Everything is here: what failed for others' credentials or patience is done with what this pull has fetched.
        if fetched.is_err() || !alone {
            return fetched.and(first);
        }
        flights = commit(job, blobs, diff_ids, chain).await?;
    }
}

type Flights = Vec<(usize, Flight<(), Leader>)>;

/// Joins or starts the unpacking of each layer that is not committed yet.
async fn commit(job: &Arc<Job>, blobs: &[Descriptor], diff_ids: &[Digest], chain: &[Digest]) -> Result<Flights> {
    let mut below: Option<Flight<(), Leader>> = None;
    let mut flights = Vec::new();
    for (index, (layer, diff_id)) in blobs.iter().zip(diff_ids).enumerate() {
        if committed(job, &chain[index]).await? {
            job.hub.stage(index, LayerStage::Exists);
            continue;
        }
        let unpacking = Unpacking {
            job: Arc::clone(job),
            index,
            blob: layer.clone(),
            diff_id: diff_id.clone(),
            name: chain[index].clone(),
            parent: index.checked_sub(1).map(|parent| chain[parent].clone()),
        };
        let parent = below.clone();
        let flight = job.store.chains.join(&chain[index], || (Leader::of(job), unpacking.run(parent)));
        below = Some(flight.clone());
        flights.push((index, flight));
    }
    Ok(flights)
}

/// Waits for all: the fault of the lowest that failed, and whether one failed that another pull leads, for its own reasons.
async fn land(job: &Job, blobs: &[Descriptor], flights: Flights) -> (Result<()>, bool) {
    let (mut first, mut alone) = (Ok(()), false);
    for (index, flight) in flights {
        let leader = flight.shared.clone();
        let unpacked = flight.wait().await;
        match &unpacked {
            Ok(()) => job.hub.stage(index, LayerStage::Done),
            Err(fault) => alone |= leader.failed_alone(job, fault),
        }
        first = first.and(unpacked.map_err(|fault| fault.in_layer(&blobs[index].digest)));
    }
    (first, alone)
}

trait InLayer {
    fn in_layer(self, digest: &Digest) -> Self;
}

impl InLayer for Fault {
    /// Which layer of the image it was.
    fn in_layer(self, digest: &Digest) -> Self {
        if self.what().contains(digest.hex()) { self } else { self.why(format!("in layer {digest}")) }
    }
}

async fn committed(job: &Job, name: &Digest) -> Result<bool> {
    let (overlay, name) = (job.store.overlay.clone(), name.to_string());
    Inner::blocking(move || overlay.is_committed(&name)).await
}

/// One layer on its way into its chain.
struct Unpacking {
    job: Arc<Job>,
    index: usize,
    blob: Descriptor,
    diff_id: Digest,
    name: Digest,
    parent: Option<Digest>,
}

impl Unpacking {
    async fn run(self, parent: Option<Flight<(), Leader>>) -> Result<()> {
        // It may have been committed between the look and the start.
        if committed(&self.job, &self.name).await? {
            return Ok(());
        }
        let (staged, applied) = self.unpack().await?;
        // The blob's own digest decides, not only the diffID.
        blob(&self.job, &self.blob, None).await?;
        if let Some(parent) = parent {
            parent.wait().await.map_err(|fault| {
                Fault::new(Layer::Image, "commit", "a layer below failed").kind(Kind::Cancelled).because(&fault)
            })?;
        }
        let (overlay, name) = (self.job.store.overlay.clone(), self.name.to_string());
        let below = self.parent.as_ref().map(Digest::to_string);
        Inner::blocking(move || overlay.adopt(staged, &name, below.as_deref(), &applied)).await
    }

    /// Unpacks the blob as it comes. One that another pull was fetching and could not is fetched with this one's means.
    async fn unpack(&self) -> Result<(Staged, Applied)> {
        let stopped = |_| Fault::new(Layer::Store, "unpack", "the store is closing").kind(Kind::Cancelled);
        let _turn = self.job.store.unpacks.acquire().await.map_err(stopped)?;
        self.job.hub.stage(self.index, LayerStage::Unpacking);
        loop {
            let flight = match self.job.store.blobs.find(&self.blob.digest) {
                Some(flight) => Some(flight),
                None if self.job.adopt_if_there(&self.blob).await? => None,
                None => Some(start(&self.job, &self.blob, Some(self.index))),
            };
            let unpacked = self.apply(flight.as_ref().map(|flight| flight.shared.0.clone())).await;
            let (Err(_), Some(flight)) = (&unpacked, flight) else { return unpacked };
            let (_, leader) = flight.shared.clone();
            match flight.wait().await {
                Err(fault) if leader.failed_alone(&self.job, &fault) => blob(&self.job, &self.blob, None).await?,
                // Why there were no more bytes to unpack.
                Err(fault) => return Err(fault),
                Ok(()) => return unpacked,
            }
        }
    }

    /// From the file that grows, or from the stored blob.
    async fn apply(&self, growing: Option<Growing>) -> Result<(Staged, Applied)> {
        let store = Arc::clone(&self.job.store);
        let (blob, diff_id) = (self.blob.clone(), self.diff_id.clone());
        Inner::blocking(move || {
            let staged = store.overlay.stage()?;
            let applied = match growing {
                Some(growing) => {
                    let source = store.content.follower(&download::ingest_name(&blob), &blob.digest, growing);
                    unpack(source, &diff_id, &staged.files(), store.rights)?
                }
                None => unpack(store.content.reader(&blob.digest)?, &diff_id, &staged.files(), store.rights)?,
            };
            Ok((staged, applied))
        })
        .await
    }
}
