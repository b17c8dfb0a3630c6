//! Where shims publish what happens to their containers (`containerd.services.events.ttrpc.v1.Events`). The daemon asks shims for
//! ends itself and needs none of it; but containerd's own shim does not start without somebody who takes its events.

use plimsoll_fault::{Fault, Kind as FaultKind, Layer, Result};
use plimsoll_proto::shim::service;
use plimsoll_proto::ttrpc::{Decoded, Decoder, Kind, Request, Response, encode, status_from_fault};
use prost::Message;
use std::path::Path;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::{UnixListener, UnixStream};

/// Listens at `path`, which only an earlier daemon can have used, for as long as the daemon runs.
pub(crate) fn serve(path: &Path) -> Result<()> {
    let cannot = |e: &std::io::Error| {
        let what = format!("cannot listen for the events of shims at {}", path.display());
        Fault::new(Layer::Daemon, "events", what).because(e)
    };
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(cannot(&e)),
        _ => {}
    }
    let listener = UnixListener::bind(path).map_err(|e| cannot(&e))?;
    tokio::spawn(async move {
        loop {
            match listener.accept().await {
                Ok((stream, _)) => drop(tokio::spawn(answer(stream))),
                // Out of descriptors: a shim tries again.
                Err(_) => tokio::time::sleep(crate::shims::PAUSE).await,
            }
        }
    });
    Ok(())
}

/// Until the shim goes, or says what is no ttrpc.
async fn answer(mut stream: UnixStream) {
    let (mut decoder, mut buffer) = (Decoder::default(), vec![0; 16 << 10]);
    while let Ok(count @ 1..) = stream.read(&mut buffer).await {
        decoder.feed(&buffer[..count]);
        let mut out = Vec::new();
        loop {
            match decoder.decode() {
                Ok(Some(Decoded::Frame { stream, kind: Kind::Request, data, .. })) => reply(&mut out, stream, &data),
                Ok(Some(_)) => {}
                Ok(None) => break,
                Err(_) => return,
            }
        }
        if stream.write_all(&out).await.is_err() {
            return;
        }
    }
}

fn reply(out: &mut Vec<u8>, stream: u32, data: &[u8]) {
    let known = Request::decode(data).is_ok_and(|call| call.service == service::EVENTS && call.method == "Forward");
    let refused = || Fault::new(Layer::Daemon, "events", "no such call").kind(FaultKind::Unimplemented);
    let status = (!known).then(|| status_from_fault(&refused()));
    let response = Response { status, ..Response::default() }.encode_to_vec();
    // An empty answer is never too long for a frame.
    let _fits = encode(out, stream, Kind::Response, &response);
}
