//! One client: its bytes in, its frames out. Knows no method.

use plimsoll_fault::Fault;
use plimsoll_proto::ttrpc::{self, Decoder, Response};
use prost::Message;
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::time::Duration;

/// Answers that a client may leave unread before it is dropped.
const OUT_LIMIT: usize = 8 << 20;

/// Where an answer goes. Answers to a client that has gone are dropped.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Reply {
    pub(crate) connection: u32,
    pub(crate) stream: u32,
    /// How long the caller waits, when it said so.
    pub(crate) timeout: Option<Duration>,
}

#[derive(Debug)]
pub(super) struct Connection {
    pub(super) socket: OwnedFd,
    pub(super) decoder: Decoder,
    out: Vec<u8>,
}

/// What became of a read or a write.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Health {
    Fine,
    Gone,
}

impl Connection {
    pub(super) fn new(socket: OwnedFd) -> Self {
        Self { socket, decoder: Decoder::default(), out: Vec::new() }
    }

    /// Takes what has arrived, at most one chunk.
    pub(super) fn read(&mut self, scratch: &mut [u8]) -> Health {
        match rustix::io::read(&self.socket, &mut *scratch) {
            Ok(0) => Health::Gone,
            Ok(count) => {
                self.decoder.feed(&scratch[..count]);
                Health::Fine
            }
            Err(Errno::AGAIN | Errno::INTR) => Health::Fine,
            Err(_) => Health::Gone,
        }
    }

    pub(super) fn push(&mut self, stream: u32, result: Result<Vec<u8>, Fault>) -> Health {
        let response = match result {
            Ok(payload) => Response { status: None, payload },
            Err(fault) => Response { status: Some(ttrpc::status_from_fault(&fault)), payload: Vec::new() },
        };
        if !ttrpc::encode(&mut self.out, stream, ttrpc::Kind::Response, &response.encode_to_vec()) {
            return Health::Gone;
        }
        if self.out.len() > OUT_LIMIT { Health::Gone } else { self.write() }
    }

    /// Sends what the socket takes now.
    pub(super) fn write(&mut self) -> Health {
        let mut sent = 0;
        let health = loop {
            if sent == self.out.len() {
                break Health::Fine;
            }
            match rustix::net::send(&self.socket, &self.out[sent..], rustix::net::SendFlags::NOSIGNAL) {
                Ok(count) => sent += count,
                Err(Errno::INTR) => {}
                Err(Errno::AGAIN) => break Health::Fine,
                Err(_) => break Health::Gone,
            }
        };
        self.out.drain(..sent);
        self.out.shrink_to(4096);
        health
    }

    pub(super) fn has_output(&self) -> bool {
        !self.out.is_empty()
    }
}
