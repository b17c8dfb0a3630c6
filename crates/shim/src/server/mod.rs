//! The shim's one loop: listener, connections, signals, workers and streams on one epoll. Owns every fd and every record;
//! what an RPC does is in `task/`, `sandbox/` and `extension/`.

mod connection;
mod dispatch;
mod early;
mod listen;
mod poller;
mod reaper;
mod run;
mod streams;
mod workers;

pub(crate) use connection::Reply;
pub(crate) use dispatch::{Answer, Call, Handled, answer, decode};
pub(crate) use listen::{bind, reachable, socket_path};
pub(crate) use poller::{Poller, Token};

use crate::events::Publisher;
use crate::log::Log;
use crate::sandbox::Sandbox;
use crate::task::{Key, Task};
use connection::Connection;
use early::Early;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::SingleThread;
use std::collections::BTreeMap;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::Instant;
use streams::Slot;

use crate::worker::Worker;

/// What the command line decided.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) namespace: String,
    /// The daemon's event socket; `None` publishes nothing.
    pub(crate) events: Option<PathBuf>,
}

#[derive(Debug)]
pub(crate) struct Server {
    pub(crate) token: SingleThread,
    pub(crate) settings: Settings,
    pub(crate) tasks: BTreeMap<String, Task>,
    pub(crate) sandbox: Option<Sandbox>,
    pub(crate) events: Publisher,
    pub(crate) log: Log,
    /// Set by Shutdown: the loop ends when what is to be sent has been sent.
    pub(crate) ending: bool,
    poller: Poller,
    listener: OwnedFd,
    /// The listener is not watched until then.
    accept_at: Option<Instant>,
    /// Descriptors ran out when last a client was to be accepted.
    short: bool,
    signals: OwnedFd,
    connections: BTreeMap<u32, Connection>,
    streams: BTreeMap<u32, Slot>,
    workers: BTreeMap<u32, Worker>,
    early: Early,
    next_id: u32,
    scratch: Vec<u8>,
}

impl Server {
    pub(crate) fn task(&mut self, id: &str) -> Result<&mut Task, Fault> {
        self.tasks.get_mut(id).ok_or_else(|| not_found(id))
    }

    /// The init (`exec_id` empty) or an exec of a container.
    pub(crate) fn process(&mut self, key: &Key) -> Result<&mut crate::task::Process, Fault> {
        let task = self.tasks.get_mut(&key.id).ok_or_else(|| not_found(&key.id))?;
        if key.exec_id.is_empty() {
            return Ok(&mut task.init);
        }
        task.execs.get_mut(&key.exec_id).ok_or_else(|| {
            Fault::new(Layer::Shim, "lookup", format!("exec {} of container {} is not here", key.exec_id, key.id))
                .kind(Kind::NotFound)
                .in_container(&key.id)
                .in_exec(&key.exec_id)
        })
    }

    fn new_id(&mut self) -> u32 {
        self.next_id = self.next_id.wrapping_add(1);
        self.next_id
    }
}

fn not_found(id: &str) -> Fault {
    Fault::new(Layer::Shim, "lookup", format!("container {id} is not here")).kind(Kind::NotFound).in_container(id)
}
