//! The loop: waits, serves what is ready, then looks at signals and deadlines. Nothing in it blocks.

use super::connection::{Connection, Health};
use super::early::Early;
use super::poller::{Poller, Token};
use super::{Call, Reply, Server, Settings};
use crate::events::Publisher;
use crate::log::Log;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::ttrpc::{self, Decoded, Request};
use plimsoll_sys::{SingleThread, signalfd};
use prost::Message;
use rustix::event::epoll::EventFlags;
use rustix::io::Errno;
use rustix::net::SocketFlags;
use std::collections::BTreeMap;
use std::os::fd::{AsFd, OwnedFd};
use std::time::{Duration, Instant};

/// After Shutdown: how long answers and events may take to be sent.
const LAST_WORDS: Duration = Duration::from_secs(2);

/// Then: how long a client may take to read and to close its connection. One in Go may lose an answer that comes together with the
/// connection's end.
const HEARD: Duration = Duration::from_millis(500);

/// Without work and without a client: how long one may still come. A daemon that died while it started this shim left no
/// record of it, and nobody else would ever end it.
const IDLE: Duration = Duration::from_secs(60);

/// Clients at a time: a daemon, its successor, and people looking.
const CONNECTIONS: usize = 64;

/// How long no client is accepted after descriptors, or memory for sockets, ran out.
const SHORT: Duration = Duration::from_millis(100);

impl Server {
    /// Sets up the loop around `listener`. From here on SIGCHLD is read from an fd and SIGTERM and SIGINT are ignored: a
    /// pod ends by Shutdown, not because a session or a service around the daemon ends.
    pub(crate) fn new(token: SingleThread, settings: Settings, listener: OwnedFd, log: Log) -> std::io::Result<Self> {
        let signals = signalfd::signalfd(&[number::CHLD, number::TERM, number::INT, number::HUP])?;
        let poller = Poller::new()?;
        poller.add(listener.as_fd(), Token::Listener, EventFlags::IN)?;
        poller.add(signals.as_fd(), Token::Signals, EventFlags::IN)?;
        let events = Publisher::new(settings.events.clone(), settings.namespace.clone());
        Ok(Self {
            token,
            settings,
            tasks: BTreeMap::new(),
            sandbox: None,
            events,
            log,
            ending: false,
            poller,
            listener,
            accept_at: None,
            short: false,
            signals,
            connections: BTreeMap::new(),
            streams: BTreeMap::new(),
            workers: BTreeMap::new(),
            early: Early::default(),
            next_id: 0,
            scratch: vec![0; crate::io::CHUNK],
        })
    }

    /// Serves until Shutdown.
    pub(crate) fn run(&mut self) -> std::io::Result<()> {
        let (mut end_by, mut heard_by, mut idle_until) = (None, None, None);
        loop {
            let now = Instant::now();
            if !self.idle() {
                idle_until = None;
            } else if *idle_until.get_or_insert(now + IDLE) <= now {
                return Ok(());
            }
            if self.ending {
                let by = *end_by.get_or_insert(now + LAST_WORDS);
                let said = self.connections.values().all(|c| !c.has_output()) && !self.events.busy();
                if said || by <= now {
                    let by = *heard_by.get_or_insert(now + HEARD);
                    if (self.connections.is_empty() || by <= now) && !self.is_removing() {
                        return Ok(());
                    }
                }
            }
            let ends = [end_by, heard_by].map(|by| by.filter(|by| *by > now));
            let next = [self.next_deadline(), idle_until].into_iter().chain(ends).flatten().min();
            let limit = next.map(|at| at.saturating_duration_since(now));
            let mut children = false;
            for token in self.poller.wait(limit)? {
                children |= token == Token::Signals;
                self.ready(token);
            }
            if children {
                self.drain_signals();
                // A worker's report is in its pipe before its child can become ours: read it first, so that no exit is
                // seen of a process that is not known yet.
                self.read_all_workers();
                self.reap();
            }
            self.pass_deadlines();
            self.publish();
        }
    }

    /// Nothing is kept and nobody asks.
    fn idle(&self) -> bool {
        self.tasks.is_empty() && self.sandbox.is_none() && self.workers.is_empty() && self.connections.is_empty()
    }

    fn ready(&mut self, token: Token) {
        match token {
            Token::Listener => self.accept(),
            Token::Signals => {}
            Token::Publisher => self.events.ready(),
            Token::Connection(id) => self.serve(id),
            Token::Worker(id) => self.read_worker(id),
            Token::StreamSource(id) | Token::StreamSink(id) => self.pump(id),
            Token::OutOfMemory(id) => self.out_of_memory(id),
        }
    }

    fn drain_signals(&self) {
        let mut record = [0; 128];
        while let Ok(1..) = rustix::io::read(&self.signals, &mut record) {}
    }

    fn accept(&mut self) {
        let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
        let socket = match rustix::net::accept_with(&self.listener, flags) {
            Ok(socket) => socket,
            Err(errno @ (Errno::MFILE | Errno::NFILE | Errno::NOBUFS | Errno::NOMEM)) => {
                return self.stop_accepting(errno);
            }
            // The client has gone again.
            Err(_) => return,
        };
        self.short = false;
        if let Err(fault) = self.admit(&socket) {
            self.log.warn(&fault);
            return;
        }
        let id = self.new_id();
        if let Err(errno) = self.poller.add(socket.as_fd(), Token::Connection(id), EventFlags::IN) {
            self.log.warn(&Fault::new(Layer::Shim, "accept", "cannot watch a connection").because(&errno));
            return;
        }
        self.connections.insert(id, Connection::new(socket));
    }

    /// Without a descriptor to spare the client goes on waiting in the listener, which would stay ready and keep the loop
    /// turning: it is looked at again after [`SHORT`].
    fn stop_accepting(&mut self, errno: Errno) {
        self.poller.remove(self.listener.as_fd());
        self.accept_at = Some(Instant::now() + SHORT);
        if !std::mem::replace(&mut self.short, true) {
            self.log.warn(&Fault::new(Layer::Shim, "accept", "clients have to wait").because(&errno));
        }
    }

    fn resume_accepting(&mut self, now: Instant) {
        if self.accept_at.is_some_and(|at| at <= now) {
            let added = self.poller.add(self.listener.as_fd(), Token::Listener, EventFlags::IN);
            self.accept_at = added.err().map(|_| now + SHORT);
        }
    }

    /// The folder keeps others out already; this holds when somebody widened it.
    fn admit(&self, socket: &OwnedFd) -> Result<(), Fault> {
        let fault = |what: &str| Fault::new(Layer::Shim, "accept", what).kind(Kind::PermissionDenied);
        let peer =
            rustix::net::sockopt::socket_peercred(socket).map_err(|e| fault("cannot tell who connects").because(&e))?;
        let ours = rustix::process::geteuid();
        if !peer.uid.is_root() && peer.uid != ours {
            return Err(fault(&format!("user {} may not talk to this shim", peer.uid.as_raw())));
        }
        if self.connections.len() >= CONNECTIONS {
            return Err(fault("too many connections").kind(Kind::ResourceExhausted));
        }
        Ok(())
    }

    fn serve(&mut self, id: u32) {
        let Some(connection) = self.connections.get_mut(&id) else { return };
        let health = match connection.read(&mut self.scratch) {
            Health::Gone => Health::Gone,
            Health::Fine => connection.write(),
        };
        if health == Health::Gone {
            return self.hang_up(id);
        }
        while let Some(connection) = self.connections.get_mut(&id) {
            match connection.decoder.decode() {
                Ok(Some(decoded)) => self.request(id, decoded),
                Ok(None) => break,
                Err(error) => {
                    self.log.warn(&Fault::new(Layer::Shim, "decode", "a client sent what is no ttrpc").because(&error));
                    return self.hang_up(id);
                }
            }
        }
        self.watch_output(id);
    }

    fn request(&mut self, connection: u32, decoded: Decoded) {
        let (stream, data) = match decoded {
            Decoded::Frame { stream, kind: ttrpc::Kind::Request, data, .. } => (stream, data),
            Decoded::Frame { .. } => return,
            Decoded::TooLong { stream, length } => {
                let fault = Fault::invalid("decode", format!("a request of {length} bytes is over the limit"));
                let reply = Reply { connection, stream, timeout: None };
                return self.answer(reply, Err(fault.kind(Kind::ResourceExhausted)));
            }
        };
        let mut reply = Reply { connection, stream, timeout: None };
        let request = match Request::decode(data.as_slice()) {
            Ok(request) => request,
            Err(e) => {
                let fault = Fault::invalid("decode", "the request cannot be read").because(&e);
                return self.answer(reply, Err(fault));
            }
        };
        reply.timeout = u64::try_from(request.timeout_nano).ok().filter(|&n| n > 0).map(Duration::from_nanos);
        let call = Call { payload: &request.payload, reply };
        match self.dispatch(&request.service, &request.method, &call) {
            Ok(super::Answer::Now(payload)) => self.answer(reply, Ok(payload)),
            Ok(super::Answer::Later) => {}
            Err(fault) => self.answer(reply, Err(fault)),
        }
    }

    /// Sends an answer, now or as soon as the client takes it.
    pub(crate) fn answer(&mut self, reply: Reply, result: Result<Vec<u8>, Fault>) {
        let Some(connection) = self.connections.get_mut(&reply.connection) else { return };
        match connection.push(reply.stream, result) {
            Health::Fine => self.watch_output(reply.connection),
            Health::Gone => self.hang_up(reply.connection),
        }
    }

    fn watch_output(&self, id: u32) {
        let Some(connection) = self.connections.get(&id) else { return };
        let flags = if connection.has_output() { EventFlags::IN | EventFlags::OUT } else { EventFlags::IN };
        if let Err(errno) = self.poller.change(connection.socket.as_fd(), Token::Connection(id), flags) {
            self.log.warn(&Fault::new(Layer::Shim, "send", "cannot watch a connection").because(&errno));
        }
    }

    /// The client has gone: nothing of what runs depends on it, only its waits are forgotten.
    fn hang_up(&mut self, id: u32) {
        if let Some(connection) = self.connections.remove(&id) {
            self.poller.remove(connection.socket.as_fd());
        }
        for task in self.tasks.values_mut() {
            for process in std::iter::once(&mut task.init).chain(task.execs.values_mut()) {
                process.waiters.retain(|reply| reply.connection != id);
            }
        }
        if let Some(sandbox) = &mut self.sandbox {
            sandbox.waiters.retain(|reply| reply.connection != id);
        }
    }

    /// Keeps the publisher's socket in the epoll set as long as there is one to wait for.
    fn publish(&mut self) {
        self.events.step(&self.poller);
    }

    fn next_deadline(&self) -> Option<Instant> {
        let workers = self.workers.values().map(crate::worker::Worker::deadline).min();
        let processes = self.tasks.values().flat_map(crate::task::Task::processes);
        let deleting = processes.filter_map(|process| process.drain_until).min();
        [workers, deleting, self.next_retry(), self.events.retry_at(), self.accept_at].into_iter().flatten().min()
    }

    fn pass_deadlines(&mut self) {
        let now = Instant::now();
        self.kill_late_workers(now);
        self.retry_streams(now);
        self.finish_late_deletes(now);
        self.events.pass(now);
        self.resume_accepting(now);
    }
}

/// The signals that the loop reads, as numbers.
mod number {
    use rustix::process::Signal;

    pub(super) const CHLD: i32 = Signal::CHILD.as_raw();
    pub(super) const TERM: i32 = Signal::TERM.as_raw();
    pub(super) const INT: i32 = Signal::INT.as_raw();
    pub(super) const HUP: i32 = Signal::HUP.as_raw();
}
