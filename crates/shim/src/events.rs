//! Events to the daemon (`containerd.services.events.ttrpc.v1.Events.Forward`), in order, one at a time, each sent again
//! until it is answered or has had its tries. Never blocks the loop; without an address it does nothing.

use crate::server::{Poller, Token};
use crate::task::{ExitAnswer, Key, Task, timestamp};
use plimsoll_proto::shim::{events, forward, service, task as wire, types};
use plimsoll_proto::ttrpc::{self, Decoded, Decoder, KeyValue, Request};
use prost::Message;
use prost_types::Any;
use rustix::event::epoll::EventFlags;
use rustix::net::{AddressFamily, SendFlags, SocketAddrUnix, SocketFlags, SocketType};
use std::collections::{BTreeMap, VecDeque};
use std::os::fd::{AsFd, OwnedFd};
use std::path::PathBuf;
use std::time::{Duration, Instant, SystemTime};

/// Events kept for a daemon that is away; the oldest go first. A daemon that comes back asks for State anyhow.
const QUEUE: usize = 1024;
const RETRY: Duration = Duration::from_secs(1);
const TRIES: u32 = 60;

#[derive(Debug)]
struct Event {
    topic: &'static str,
    body: Any,
    at: SystemTime,
    tries: u32,
}

#[derive(Debug)]
pub(crate) struct Publisher {
    address: Option<PathBuf>,
    namespace: String,
    queue: VecDeque<Event>,
    link: Option<Link>,
    retry_at: Option<Instant>,
}

#[derive(Debug)]
struct Link {
    socket: OwnedFd,
    decoder: Decoder,
    /// The stream of the event that waits for its answer: the front of the queue.
    in_flight: Option<u32>,
    last_stream: u32,
    broken: bool,
}

impl Publisher {
    pub(crate) fn new(address: Option<PathBuf>, namespace: String) -> Self {
        Self { address, namespace, queue: VecDeque::new(), link: None, retry_at: None }
    }

    pub(crate) fn created(&mut self, id: &str, tasks: &BTreeMap<String, Task>) {
        let Some(task) = tasks.get(id) else { return };
        let stdio = &task.init.stdio;
        self.push(
            "/tasks/create",
            "TaskCreate",
            &events::TaskCreate {
                container_id: id.to_owned(),
                bundle: task.runtime.bundle.to_string_lossy().into_owned(),
                rootfs: Vec::new(),
                io: Some(events::TaskIo {
                    stdin: stdio.stdin.clone(),
                    stdout: stdio.stdout.clone(),
                    stderr: stdio.stderr.clone(),
                    terminal: stdio.terminal,
                }),
                checkpoint: String::new(),
                pid: task.init.pid_number(),
            },
        );
    }

    pub(crate) fn started(&mut self, key: &Key, pid: u32) {
        let container_id = key.id.clone();
        if key.exec_id.is_empty() {
            self.push("/tasks/start", "TaskStart", &events::TaskStart { container_id, pid });
        } else {
            let exec_id = key.exec_id.clone();
            self.push(
                "/tasks/exec-started",
                "TaskExecStarted",
                &events::TaskExecStarted { container_id, exec_id, pid },
            );
        }
    }

    pub(crate) fn exec_added(&mut self, key: &Key) {
        let (container_id, exec_id) = (key.id.clone(), key.exec_id.clone());
        self.push("/tasks/exec-added", "TaskExecAdded", &events::TaskExecAdded { container_id, exec_id });
    }

    pub(crate) fn exit(&mut self, key: &Key, answer: &ExitAnswer) {
        // An init is named by its container.
        let id = if key.exec_id.is_empty() { key.id.clone() } else { key.exec_id.clone() };
        self.push(
            "/tasks/exit",
            "TaskExit",
            &events::TaskExit {
                container_id: key.id.clone(),
                id,
                pid: answer.pid,
                exit_status: answer.wait.exit_status,
                exited_at: answer.wait.exited_at,
            },
        );
    }

    pub(crate) fn deleted(&mut self, id: &str, answer: &wire::DeleteResponse) {
        self.push(
            "/tasks/delete",
            "TaskDelete",
            &events::TaskDelete {
                container_id: id.to_owned(),
                pid: answer.pid,
                exit_status: answer.exit_status,
                exited_at: answer.exited_at,
                id: String::new(),
            },
        );
    }

    pub(crate) fn paused(&mut self, id: &str) {
        self.push("/tasks/paused", "TaskPaused", &events::TaskPaused { container_id: id.to_owned() });
    }

    pub(crate) fn resumed(&mut self, id: &str) {
        self.push("/tasks/resumed", "TaskResumed", &events::TaskResumed { container_id: id.to_owned() });
    }

    pub(crate) fn out_of_memory(&mut self, id: &str) {
        self.push("/tasks/oom", "TaskOOM", &events::TaskOom { container_id: id.to_owned() });
    }

    fn push(&mut self, topic: &'static str, name: &str, message: &impl Message) {
        if self.address.is_none() {
            return;
        }
        if self.queue.len() == QUEUE {
            self.queue.pop_front();
            if let Some(link) = &mut self.link {
                link.in_flight = None;
            }
        }
        let body = Any { type_url: format!("containerd.events.{name}"), value: message.encode_to_vec() };
        self.queue.push_back(Event { topic, body, at: SystemTime::now(), tries: 0 });
    }

    /// Something is being sent that the daemon will answer soon.
    pub(crate) fn busy(&self) -> bool {
        !self.queue.is_empty() && self.link.is_some()
    }

    pub(crate) fn retry_at(&self) -> Option<Instant> {
        self.retry_at
    }

    pub(crate) fn pass(&mut self, now: Instant) {
        if self.retry_at.is_some_and(|at| at <= now) {
            self.retry_at = None;
        }
    }

    /// Sends the next event if nothing is in the way. Called once per turn of the loop.
    pub(crate) fn step(&mut self, poller: &Poller) {
        if let Some(link) = self.link.take_if(|link| link.broken) {
            poller.remove(link.socket.as_fd());
            self.retry_at = (!self.queue.is_empty()).then(|| Instant::now() + RETRY);
        }
        if self.retry_at.is_some() || self.link.as_ref().is_some_and(|link| link.in_flight.is_some()) {
            return;
        }
        let Some(event) = self.queue.front_mut() else { return };
        event.tries += 1;
        if event.tries > TRIES {
            self.queue.pop_front();
            return;
        }
        let sent = self.connect(poller).and_then(|()| self.send());
        if sent.is_err() {
            self.link.iter().for_each(|link| poller.remove(link.socket.as_fd()));
            self.link = None;
            self.retry_at = Some(Instant::now() + RETRY);
        }
    }

    fn connect(&mut self, poller: &Poller) -> rustix::io::Result<()> {
        let Some(address) = self.address.as_ref().filter(|_| self.link.is_none()) else { return Ok(()) };
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)?;
        // A unix socket connects at once or not at all.
        rustix::net::connect(&socket, &SocketAddrUnix::new(address)?)?;
        poller.add(socket.as_fd(), Token::Publisher, EventFlags::IN)?;
        let decoder = Decoder::default();
        self.link = Some(Link { socket, decoder, in_flight: None, last_stream: 0, broken: false });
        Ok(())
    }

    fn send(&mut self) -> rustix::io::Result<()> {
        let (Some(link), Some(event)) = (&mut self.link, self.queue.front()) else { return Ok(()) };
        let envelope = types::Envelope {
            timestamp: Some(timestamp(event.at)),
            namespace: self.namespace.clone(),
            topic: event.topic.to_owned(),
            event: Some(event.body.clone()),
        };
        let request = Request {
            service: service::EVENTS.to_owned(),
            method: "Forward".to_owned(),
            payload: forward::ForwardRequest { envelope: Some(envelope) }.encode_to_vec(),
            timeout_nano: 5_000_000_000,
            metadata: vec![KeyValue { key: ttrpc::NAMESPACE_METADATA.to_owned(), value: self.namespace.clone() }],
        };
        let stream = if link.last_stream == 0 { 1 } else { link.last_stream.wrapping_add(2) };
        let mut frame = Vec::new();
        if !ttrpc::encode(&mut frame, stream, ttrpc::Kind::Request, &request.encode_to_vec()) {
            return Err(rustix::io::Errno::MSGSIZE);
        }
        // Frames are far smaller than a socket's buffer, which is empty: what is cut is a broken link.
        let count = rustix::net::send(&link.socket, &frame, SendFlags::NOSIGNAL)?;
        if count != frame.len() {
            return Err(rustix::io::Errno::PIPE);
        }
        (link.last_stream, link.in_flight) = (stream, Some(stream));
        Ok(())
    }

    /// The daemon has answered, or has gone.
    pub(crate) fn ready(&mut self) {
        let Some(link) = &mut self.link else { return };
        let mut chunk = [0; 4096];
        match rustix::io::read(&link.socket, &mut chunk) {
            Ok(count @ 1..) => link.decoder.feed(&chunk[..count]),
            Err(rustix::io::Errno::AGAIN | rustix::io::Errno::INTR) => return,
            Ok(_) | Err(_) => link.broken = true,
        }
        loop {
            match link.decoder.decode() {
                // An error status is an answer too: the daemon will not like the event better a second time.
                Ok(Some(Decoded::Frame { stream, .. })) if link.in_flight == Some(stream) => {
                    link.in_flight = None;
                    self.queue.pop_front();
                }
                Ok(Some(_)) => {}
                Ok(None) => return,
                Err(_) => {
                    link.broken = true;
                    return;
                }
            }
        }
    }
}
