//! One ttrpc connection: many calls at once, each with its deadline. Knows frames and faults, no method.

use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_proto::ttrpc::{self, Decoded, Decoder, Request, Response};
use prost::Message;
use std::collections::HashMap;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::UnixStream;
use tokio::net::unix::{OwnedReadHalf, OwnedWriteHalf};
use tokio::sync::{mpsc, oneshot, watch};

/// Frames that may wait for the socket; a call beyond that waits for room.
const QUEUE: usize = 64;

#[derive(Clone, Debug)]
pub(super) struct Client {
    frames: mpsc::Sender<Vec<u8>>,
    calls: Arc<Calls>,
    closed: watch::Receiver<bool>,
}

#[derive(Debug, Default)]
struct Calls(Mutex<Table>);

#[derive(Debug, Default)]
struct Table {
    /// Client streams are odd and rise; the wire has 32 bits, which a daemon does not use up in a shim's life.
    last: u32,
    closed: bool,
    waiting: HashMap<u32, oneshot::Sender<Vec<u8>>>,
}

impl Calls {
    fn table(&self) -> MutexGuard<'_, Table> {
        // The table is whole after each statement, so a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn open(&self) -> Option<(u32, oneshot::Receiver<Vec<u8>>)> {
        let (sender, receiver) = oneshot::channel();
        let mut table = self.table();
        if table.closed {
            return None;
        }
        let stream = if table.last == 0 { 1 } else { table.last.wrapping_add(2) };
        table.last = stream;
        table.waiting.insert(stream, sender);
        Some((stream, receiver))
    }

    fn answer(&self, stream: u32, data: Vec<u8>) {
        let waiting = self.table().waiting.remove(&stream);
        if let Some(Err(_)) = waiting.map(|sender| sender.send(data)) {
            tracing::debug!(stream, "the caller of a shim call had gone");
        }
    }

    fn close(&self) {
        let mut table = self.table();
        table.closed = true;
        table.waiting.clear();
    }
}

/// Forgets a call whose caller went away (deadline, cancelled request).
struct Registered<'a>(&'a Calls, u32);

impl Drop for Registered<'_> {
    fn drop(&mut self) {
        self.0.table().waiting.remove(&self.1);
    }
}

impl Client {
    pub(super) async fn connect(address: &str) -> Result<Self> {
        let path = address.strip_prefix("unix://").unwrap_or(address);
        let stream = UnixStream::connect(path).await.map_err(|error| {
            Fault::new(Layer::Shim, "connect", format!("cannot connect to the shim at {path}"))
                .kind(Kind::Unavailable)
                .because(&error)
                .syscall("connect", path, error.raw_os_error().unwrap_or(0))
        })?;
        let (reader, writer) = stream.into_split();
        let (frames, queue) = mpsc::channel(QUEUE);
        let (gone, closed) = watch::channel(false);
        let calls = Arc::new(Calls::default());
        tokio::spawn(write_frames(writer, queue));
        tokio::spawn(read_frames(reader, calls.clone(), gone));
        Ok(Self { frames, calls, closed })
    }

    pub(super) fn is_open(&self) -> bool {
        !*self.closed.borrow()
    }

    pub(super) async fn closed(&self) {
        let mut closed = self.closed.clone();
        // An error means that the reader task is gone, which is what is waited for.
        if closed.wait_for(|gone| *gone).await.is_err() {
            tracing::debug!("the shim connection's reader had ended");
        }
    }

    /// Sends what waits and nothing more: the other side sees the end of the connection, and closes it too.
    pub(super) async fn hang_up(&self) {
        // An error: it has ended already.
        self.frames.send(Vec::new()).await.ok();
    }

    /// Calls `service.method`. `deadline` is told to the shim too; `None` waits as long as the connection lives.
    pub(super) async fn call<Q: Message, A: Message + Default>(
        &self,
        service: &str,
        method: &str,
        request: &Q,
        deadline: Option<Duration>,
    ) -> Result<A> {
        let exchange = self.exchange(service, method, request, deadline);
        let data = match deadline {
            None => exchange.await?,
            Some(limit) => tokio::time::timeout(limit, exchange).await.map_err(|_| late(method, limit))??,
        };
        let response = Response::decode(data.as_slice()).map_err(|error| garbled(method, &error))?;
        if let Some(status) = response.status.filter(|status| status.code != 0) {
            return Err(ttrpc::fault_from_status(&status, &phase(method)));
        }
        A::decode(response.payload.as_slice()).map_err(|error| garbled(method, &error))
    }

    async fn exchange<Q: Message>(
        &self,
        service: &str,
        method: &str,
        request: &Q,
        deadline: Option<Duration>,
    ) -> Result<Vec<u8>> {
        let (stream, answer) = self.calls.open().ok_or_else(|| gone(method))?;
        let registered = Registered(&self.calls, stream);
        let message = Request {
            service: service.to_owned(),
            method: method.to_owned(),
            payload: request.encode_to_vec(),
            timeout_nano: deadline.map_or(0, |d| i64::try_from(d.as_nanos()).unwrap_or(i64::MAX)),
            metadata: Vec::new(),
        };
        let mut frame = Vec::new();
        if !ttrpc::encode(&mut frame, stream, ttrpc::Kind::Request, &message.encode_to_vec()) {
            return Err(Fault::new(Layer::Shim, phase(method), format!("the {method} request is over 4 MiB"))
                .kind(Kind::ResourceExhausted));
        }
        self.frames.send(frame).await.map_err(|_| gone(method))?;
        let data = answer.await.map_err(|_| gone(method));
        drop(registered);
        data
    }
}

/// Until there is an empty one.
async fn write_frames(mut writer: OwnedWriteHalf, mut queue: mpsc::Receiver<Vec<u8>>) {
    while let Some(frame) = queue.recv().await {
        if frame.is_empty() {
            return;
        }
        if let Err(error) = writer.write_all(&frame).await {
            // The reader sees the end of the connection and fails the calls.
            tracing::debug!(%error, "writing to a shim");
            return;
        }
    }
}

async fn read_frames(mut reader: OwnedReadHalf, calls: Arc<Calls>, gone: watch::Sender<bool>) {
    let mut decoder = Decoder::default();
    let mut chunk = vec![0; 16384];
    while let Ok(count @ 1..) = reader.read(&mut chunk).await {
        decoder.feed(&chunk[..count]);
        if let Err(error) = deliver(&mut decoder, &calls) {
            tracing::warn!(%error, "a shim sent what is no ttrpc; leaving it");
            break;
        }
    }
    calls.close();
    gone.send_replace(true);
}

fn deliver(decoder: &mut Decoder, calls: &Calls) -> std::result::Result<(), ttrpc::FrameError> {
    while let Some(decoded) = decoder.decode()? {
        match decoded {
            Decoded::Frame { stream, kind: ttrpc::Kind::Response, data, .. } => calls.answer(stream, data),
            Decoded::Frame { .. } => {}
            Decoded::TooLong { stream, length } => {
                tracing::warn!(stream, length, "a shim's answer is over the limit");
                calls.table().waiting.remove(&stream);
            }
        }
    }
    Ok(())
}

fn phase(method: &str) -> String {
    method.to_ascii_lowercase()
}

fn gone(method: &str) -> Fault {
    Fault::new(Layer::Shim, phase(method), format!("the shim went away during {method}")).kind(Kind::Unavailable)
}

fn late(method: &str, limit: Duration) -> Fault {
    Fault::new(Layer::Shim, phase(method), format!("the shim did not answer {method} within {} s", limit.as_secs()))
        .kind(Kind::DeadlineExceeded)
}

fn garbled(method: &str, error: &prost::DecodeError) -> Fault {
    Fault::new(Layer::Shim, phase(method), format!("the shim's answer to {method} cannot be read")).because(error)
}
