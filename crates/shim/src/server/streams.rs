//! Streams in the loop: which fd each waits for, and what happens when one has ended.

use super::Server;
use super::poller::Token;
use crate::io::{Progress, Stream};
use crate::task::Key;
use plimsoll_fault::{Fault, Layer};
use rustix::event::epoll::EventFlags;
use std::os::fd::AsFd;
use std::time::Instant;

/// Pumps of a process's outputs after its end, before its exit is told: what it wrote is in its pipe by then. Each pump
/// moves up to 256 KiB, so this bounds what a child that goes on writing can hold up.
const LAST_PUMPS: usize = 16;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Watched {
    Nothing,
    Source,
    Sink,
}

#[derive(Debug)]
pub(super) struct Slot {
    stream: Stream,
    owner: Key,
    watched: Watched,
    retry_at: Option<Instant>,
}

impl Server {
    /// Takes a stream into the loop; its number is kept by the process that owns it.
    pub(crate) fn add_stream(&mut self, stream: Stream, owner: &Key) -> u32 {
        let id = self.new_id();
        let slot = Slot { stream, owner: owner.clone(), watched: Watched::Nothing, retry_at: None };
        self.streams.insert(id, slot);
        self.pump(id);
        id
    }

    /// Ends a stream whatever it still holds.
    pub(crate) fn drop_stream(&mut self, id: u32) {
        if let Some(mut slot) = self.streams.remove(&id) {
            self.watch(&mut slot, id, Watched::Nothing);
        }
    }

    pub(crate) fn has_stream(&self, id: u32) -> bool {
        self.streams.contains_key(&id)
    }

    /// Moves what an ended process left in its pipes, as far as the sinks take it at once.
    pub(crate) fn drain(&mut self, ids: &[u32]) {
        for &id in ids {
            for _ in 0..LAST_PUMPS {
                if self.pump_once(id) != Some(Progress::Again) {
                    break;
                }
            }
        }
    }

    pub(super) fn pump(&mut self, id: u32) {
        if self.pump_once(id) == Some(Progress::Done) || !self.streams.contains_key(&id) {
            self.finish_deletes();
        }
    }

    fn pump_once(&mut self, id: u32) -> Option<Progress> {
        let mut slot = self.streams.remove(&id)?;
        let progress = slot.stream.pump(&mut self.scratch);
        slot.retry_at = None;
        match progress {
            Progress::Source | Progress::Again => self.watch(&mut slot, id, Watched::Source),
            Progress::Sink => self.watch(&mut slot, id, Watched::Sink),
            Progress::Retry(delay) => {
                self.watch(&mut slot, id, Watched::Nothing);
                slot.retry_at = Some(Instant::now() + delay);
            }
            Progress::Done => {
                self.watch(&mut slot, id, Watched::Nothing);
                return Some(progress);
            }
        }
        self.streams.insert(id, slot);
        Some(progress)
    }

    fn watch(&self, slot: &mut Slot, id: u32, wanted: Watched) {
        if slot.watched == wanted {
            return;
        }
        let sink = slot.stream.sink();
        match slot.watched {
            Watched::Nothing => {}
            Watched::Source => self.poller.remove(slot.stream.source()),
            Watched::Sink => sink.into_iter().for_each(|fd| self.poller.remove(fd)),
        }
        let added = match wanted {
            Watched::Nothing => Ok(()),
            Watched::Source => self.poller.add(slot.stream.source().as_fd(), Token::StreamSource(id), EventFlags::IN),
            Watched::Sink => sink.map_or(Ok(()), |fd| self.poller.add(fd, Token::StreamSink(id), EventFlags::OUT)),
        };
        if let Err(errno) = added {
            let fault = Fault::new(Layer::Shim, "stdio", "cannot watch a stream").because(&errno);
            self.log.warn(&fault.in_container(&slot.owner.id));
        }
        slot.watched = wanted;
    }

    pub(super) fn next_retry(&self) -> Option<Instant> {
        self.streams.values().filter_map(|slot| slot.retry_at).min()
    }

    pub(super) fn retry_streams(&mut self, now: Instant) {
        let due: Vec<u32> =
            self.streams.iter().filter(|(_, s)| s.retry_at.is_some_and(|at| at <= now)).map(|(&id, _)| id).collect();
        for id in due {
            self.pump(id);
        }
    }
}
