//! One blob from the registry into the content store: fetched from where an earlier try stopped, verified, durable.

use super::Job;
use crate::content::{Growing, Ingest};
use crate::limits::{ATTEMPTS, BODY_PIECES};
use crate::store::Inner;
use hyper::body::Bytes;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::image::Descriptor;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::mpsc::{Receiver, Sender, channel};

enum Piece {
    Bytes(Bytes),
    End,
}

/// Readers of a download that never wrote are told of its end too.
struct Told(Growing);

impl Drop for Told {
    fn drop(&mut self) {
        self.0.fail();
    }
}

/// The name under which a blob's bytes are gathered.
pub(crate) fn ingest_name(blob: &Descriptor) -> String {
    format!("blob-{}", blob.digest)
}

/// Fetches `blob`; `index` is its layer for progress.
pub(crate) async fn download(job: Arc<Job>, blob: Descriptor, index: Option<usize>, growing: Growing) -> Result<()> {
    let _told = Told(growing.clone());
    let _turn = job.store.downloads.acquire().await.map_err(|_| stopped())?;
    let fetched = fetch(&job, &blob, index, Some(growing)).await;
    match fetched {
        // What an earlier try left may be the bad part: once more from nothing.
        Err((fault, true)) if fault.class() == Kind::DataLoss => {
            fetch(&job, &blob, index, None).await.map_err(|(fault, _)| fault)
        }
        Err((fault, _)) => Err(fault),
        Ok(()) => Ok(()),
    }
}

async fn fetch(
    job: &Arc<Job>,
    blob: &Descriptor,
    index: Option<usize>,
    growing: Option<Growing>,
) -> std::result::Result<(), (Fault, bool)> {
    let content = job.store.content.clone();
    let (name, size) = (ingest_name(blob), blob.size);
    let ingest = Inner::blocking(move || {
        let mut ingest = content.ingest(&name)?;
        if ingest.offset() > size {
            ingest.restart()?;
        }
        if let Some(growing) = growing {
            ingest.follow(growing);
        }
        Ok(ingest)
    });
    let ingest = ingest.await.map_err(|fault| (fault, false))?;
    let start = ingest.offset();
    let (sender, receiver) = channel(BODY_PIECES);
    let (namespace, target) = (job.namespace.clone(), blob.clone());
    let writer = tokio::spawn(Inner::blocking(move || write(ingest, receiver, &namespace, &target)));
    let sent = send(job, blob, index, start, &sender).await;
    drop(sender);
    let written = writer.await.unwrap_or_else(|_| Err(stopped()));
    match (sent, written) {
        // The network's fault, if any, came first; else what the disk says.
        (Err(Some(fault)), _) | (_, Err(fault)) => Err((fault, start > 0)),
        (_, Ok(())) => Ok(()),
    }
}

/// Brings the blob's bytes from `offset` to the end. `Err(None)`: the writer is gone.
async fn send(
    job: &Job,
    blob: &Descriptor,
    index: Option<usize>,
    mut offset: u64,
    sender: &Sender<Piece>,
) -> std::result::Result<(), Option<Fault>> {
    let mut attempt = 0;
    while offset < blob.size {
        attempt += 1;
        let before = offset;
        match pass(job, blob, index, &mut offset, sender).await {
            Ok(()) => {}
            Err(Some(fault)) if fault.class() == Kind::Unavailable && attempt < ATTEMPTS && fault.phase() == "read" => {
                if offset > before {
                    attempt = 1;
                }
                tracing::debug!(%fault, offset, blob = %blob.digest, "resuming a download");
                tokio::time::sleep(Duration::from_millis(150) * 3_u32.pow(attempt - 1)).await;
            }
            Err(fault) => return Err(fault),
        }
    }
    sender.send(Piece::End).await.map_err(|_| None)
}

/// One answer's bytes.
async fn pass(
    job: &Job,
    blob: &Descriptor,
    index: Option<usize>,
    offset: &mut u64,
    sender: &Sender<Piece>,
) -> std::result::Result<(), Option<Fault>> {
    let mut body = job.store.client.blob(&job.reference, blob, *offset, job.auth.as_ref()).await.map_err(Some)?;
    while let Some(bytes) = body.next().await.map_err(Some)? {
        *offset += bytes.len() as u64;
        if *offset > blob.size {
            let what = format!("blob {} is larger than the {} bytes of its descriptor", blob.digest, blob.size);
            return Err(Some(Fault::new(Layer::Image, "verify", what).kind(Kind::DataLoss)));
        }
        sender.send(Piece::Bytes(bytes)).await.map_err(|_| None)?;
        if let Some(index) = index {
            job.hub.bytes(index, *offset);
        }
    }
    if *offset < blob.size {
        let what = format!("blob {} ended after {} of {} bytes", blob.digest, offset, blob.size);
        return Err(Some(Fault::new(Layer::Registry, "read", what).kind(Kind::Unavailable)));
    }
    Ok(())
}

/// The disk's side, on a blocking thread. Whatever goes wrong, nothing is kept: what a killed process left is resumed,
/// what is known to be bad is not.
fn write(mut ingest: Ingest, mut pieces: Receiver<Piece>, namespace: &str, blob: &Descriptor) -> Result<()> {
    let written = loop {
        match pieces.blocking_recv() {
            Some(Piece::Bytes(bytes)) => {
                if let Err(fault) = ingest.write(&bytes) {
                    break Err(fault);
                }
            }
            Some(Piece::End) => break ingest.commit(namespace, &blob.digest, blob.size),
            None => break Err(stopped()),
        }
    };
    if written.is_err() {
        ingest.abort();
    }
    written
}

fn stopped() -> Fault {
    Fault::new(Layer::Store, "fetch", "the download was stopped").kind(Kind::Cancelled)
}
