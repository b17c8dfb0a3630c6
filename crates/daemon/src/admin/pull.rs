//! Pull: CRI's PullImage with progress by layer.

use super::{BUFFER, Parts, Stream, namespace};
use plimsoll_fault::{Fault, Result};
use plimsoll_image::{Auth, Image, LayerProgress, LayerStage, PullRequest};
use plimsoll_proto::admin::{
    self, PullProgress, Stage, pull_progress::Done, pull_progress::Resolved, pull_progress::Step,
};
use plimsoll_spec::reference::Reference;
use std::collections::HashMap;
use std::time::Duration;
use tokio::sync::mpsc::{Sender, channel};
use tokio::sync::watch;
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

/// What an eye can follow, and little enough for any client.
const INTERVAL: Duration = Duration::from_millis(100);

pub(super) fn pull(parts: &Parts, request: admin::PullRequest) -> Result<Stream<PullProgress>> {
    let name = request.reference;
    let reference: Reference = name.parse().map_err(|error| {
        Fault::invalid("resolve", format!("image reference `{name}`")).because(&error).of_image(&name)
    })?;
    let reference = reference.or_latest();
    let (report, seen) = watch::channel(Vec::new());
    let work = PullRequest {
        namespace: namespace(request.namespace),
        reference: reference.clone(),
        auth: request.auth.and_then(auth),
        progress: Some(report),
    };
    let (sender, receiver) = channel(BUFFER);
    let (store, core) = (parts.store.clone(), parts.core.clone());
    tokio::spawn(async move {
        let told = Told { sender: sender.clone(), reference: reference.to_string(), layers: HashMap::new() };
        let teller = tokio::spawn(tell(told, seen));
        // The client may leave; the pull goes on, and whoever asks next finds the image or joins.
        let pulled = plimsoll_core::pull::pull(&core, &store, work).await;
        teller.await.unwrap_or_else(|error| tracing::warn!(%error, "progress reporting failed"));
        let last = pulled.map(|image| step(Step::Done(done(&image)))).map_err(|fault| plimsoll_cri::status(&fault));
        if sender.send(last).await.is_err() {
            tracing::debug!(image = %reference, "the client left before the pull ended");
        }
    });
    Ok(ReceiverStream::new(receiver))
}

fn auth(given: admin::Auth) -> Option<Auth> {
    if !given.username.is_empty() {
        return Some(Auth::Basic { username: given.username, password: given.password });
    }
    if !given.identity_token.is_empty() {
        return Some(Auth::IdentityToken(given.identity_token));
    }
    (!given.registry_token.is_empty()).then_some(Auth::RegistryToken(given.registry_token))
}

fn step(step: Step) -> PullProgress {
    PullProgress { step: Some(step) }
}

fn done(image: &Image) -> Done {
    let image_id = image.id.to_string();
    let image_ref = image.repo_digests.first().cloned().unwrap_or_else(|| image_id.clone());
    Done { image_id, image_ref, size: image.size }
}

/// What the client has been told, so that only changes are sent.
struct Told {
    sender: Sender<std::result::Result<PullProgress, Status>>,
    reference: String,
    layers: HashMap<String, admin::LayerProgress>,
}

/// Tells until the pull drops its end of the channel or the client leaves.
async fn tell(mut told: Told, mut seen: watch::Receiver<Vec<LayerProgress>>) {
    loop {
        let ended = seen.changed().await.is_err();
        let layers = seen.borrow_and_update().clone();
        if !told.tell(&layers).await || ended {
            return;
        }
        tokio::time::sleep(INTERVAL).await;
    }
}

impl Told {
    /// False when the client has gone.
    async fn tell(&mut self, layers: &[LayerProgress]) -> bool {
        if self.layers.is_empty() && !layers.is_empty() {
            let layers = layers.iter().map(|l| admin::Layer { digest: l.digest.to_string(), size: l.total }).collect();
            let resolved = Resolved { reference: self.reference.clone(), digest: String::new(), layers };
            if self.sender.send(Ok(step(Step::Resolved(resolved)))).await.is_err() {
                return false;
            }
        }
        for layer in layers {
            let now = message(layer);
            if self.layers.get(&now.digest) == Some(&now) {
                continue;
            }
            self.layers.insert(now.digest.clone(), now.clone());
            if self.sender.send(Ok(step(Step::Layer(now)))).await.is_err() {
                return false;
            }
        }
        true
    }
}

fn message(layer: &LayerProgress) -> admin::LayerProgress {
    let stage = match layer.stage {
        LayerStage::Waiting => Stage::Waiting,
        LayerStage::Downloading => Stage::Fetch,
        LayerStage::Unpacking => Stage::Apply,
        LayerStage::Done => Stage::Done,
        LayerStage::Exists => Stage::Exists,
    };
    admin::LayerProgress {
        digest: layer.digest.to_string(),
        stage: stage.into(),
        bytes: layer.done,
        total: layer.total,
        message: String::new(),
    }
}
