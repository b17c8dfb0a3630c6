//! The one event journal: a sequence of facts about sandboxes, containers and images. Contracts show views of it.

use plimsoll_fault::{Fault, Result};
use plimsoll_image::Db;
use plimsoll_image::db::{Record, Table, Txn};
use serde::{Deserialize, Serialize};
use std::collections::VecDeque;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use tokio::sync::broadcast;

/// What happened. The names are the journal's topics.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Topic {
    SandboxReady,
    SandboxStopped,
    SandboxRemoved,
    SandboxFailed,
    ContainerCreated,
    ContainerStarted,
    ContainerExited,
    ContainerOom,
    ContainerRemoved,
    ContainerFailed,
    ImagePulled,
    ImagePullFailed,
    ImageRemoved,
    NodeRecovered,
}

impl Topic {
    /// The name under which contracts show it.
    pub fn name(self) -> &'static str {
        match self {
            Self::SandboxReady => "sandbox-ready",
            Self::SandboxStopped => "sandbox-stopped",
            Self::SandboxRemoved => "sandbox-removed",
            Self::SandboxFailed => "sandbox-failed",
            Self::ContainerCreated => "container-created",
            Self::ContainerStarted => "container-started",
            Self::ContainerExited => "container-exited",
            Self::ContainerOom => "container-oom",
            Self::ContainerRemoved => "container-removed",
            Self::ContainerFailed => "container-failed",
            Self::ImagePulled => "image-pulled",
            Self::ImagePullFailed => "image-pull-failed",
            Self::ImageRemoved => "image-removed",
            Self::NodeRecovered => "node-recovered",
        }
    }
}

/// One entry. `at` is nanoseconds since the epoch; the first `sequence` is 1.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Event {
    pub sequence: u64,
    pub namespace: String,
    pub topic: Topic,
    pub at: i64,
    pub sandbox: Option<String>,
    pub container: Option<String>,
    /// Reference or id of the image that the event is about.
    #[serde(default)]
    pub image: Option<String>,
    pub fault: Option<Fault>,
}

impl Event {
    /// An event about nothing yet; [`Journal::publish`] gives it its number and time.
    pub fn new(namespace: &str, topic: Topic) -> Self {
        Self {
            sequence: 0,
            namespace: namespace.to_owned(),
            topic,
            at: 0,
            sandbox: None,
            container: None,
            image: None,
            fault: None,
        }
    }

    #[must_use]
    pub fn sandbox(mut self, id: &str) -> Self {
        self.sandbox = Some(id.to_owned());
        self
    }

    #[must_use]
    pub fn container(mut self, id: &str) -> Self {
        self.container = Some(id.to_owned());
        self
    }

    #[must_use]
    pub fn image(mut self, name: &str) -> Self {
        self.image = Some(name.to_owned());
        self
    }

    #[must_use]
    pub fn fault(mut self, fault: &Fault) -> Self {
        self.fault = Some(fault.clone());
        self
    }

    /// True when the event, or the fault in it, is about `subject`: a whole id or an image's name.
    pub fn is_about(&self, subject: &str) -> bool {
        let named = self.fault.as_ref().map(Fault::subject);
        let own = [&self.sandbox, &self.container, &self.image];
        let in_fault = named.map(|s| [&s.pod, &s.container, &s.image]);
        own.into_iter().chain(in_fault.into_iter().flatten()).any(|name| name.as_deref() == Some(subject))
    }
}

/// Subscribers that fall behind by more than this many events are told so (`RecvError::Lagged`).
const LIVE: usize = 1024;
/// How many past events are kept. One has some hundred bytes.
const KEPT: usize = 4096;
/// All events share one numbering, whatever namespace they are about.
const NAMESPACE: &str = "journal";

/// Cheap to clone; all clones are one. Events are on disk, so that the next daemon knows them too.
#[derive(Clone)]
pub struct Journal(Arc<Inner>);

struct Inner {
    live: broadcast::Sender<Event>,
    past: Mutex<Past>,
    db: Db,
    table: Table<Event>,
}

#[derive(Default)]
struct Past {
    events: VecDeque<Event>,
    last: u64,
}

impl Journal {
    /// Goes on after the last event on disk.
    pub fn open(db: &Db) -> Result<Self> {
        let table = db.table::<Event>("events");
        let events: VecDeque<Event> = table.list(NAMESPACE)?.into_iter().map(|entry| entry.record.value).collect();
        let last = events.back().map_or(0, |event| event.sequence);
        let past = Mutex::new(Past { events, last });
        Ok(Self(Arc::new(Inner { live: broadcast::channel(LIVE).0, past, db: db.clone(), table })))
    }

    /// Every event from now on.
    pub fn subscribe(&self) -> broadcast::Receiver<Event> {
        self.0.live.subscribe()
    }

    /// Enters an event by itself: gives it the next number and the time, keeps it, tells the subscribers. Blocks for
    /// about a fsync. An event that cannot be written is still told to those who listen.
    pub fn publish(&self, event: Event) {
        let event = self.numbered(event);
        if let Err(fault) = self.0.db.write(|txn| self.store(txn, &event)) {
            tracing::warn!(%fault, topic = event.topic.name(), "an event was not kept");
        }
        self.announce(event);
    }

    /// Gives an event its number and time.
    pub(crate) fn numbered(&self, mut event: Event) -> Event {
        let mut past = self.past();
        past.last += 1;
        event.sequence = past.last;
        event.at = crate::clock::now();
        event
    }

    /// Writes a numbered event in the transaction of the change that it tells of, and forgets the one that is too old.
    pub(crate) fn store(&self, txn: &Txn, event: &Event) -> Result<()> {
        txn.put(&self.0.table, NAMESPACE, &key(event.sequence), &Record::new(event.clone()))?;
        if let Some(old) = event.sequence.checked_sub(KEPT as u64) {
            txn.remove(&self.0.table, NAMESPACE, &key(old))?;
        }
        Ok(())
    }

    /// Tells of a stored event.
    pub(crate) fn announce(&self, event: Event) {
        let mut past = self.past();
        if past.events.len() == KEPT {
            past.events.pop_front();
        }
        past.events.push_back(event.clone());
        // Sent under the lock, so that subscribers see events in the order of `since`.
        if self.0.live.receiver_count() > 0 && self.0.live.send(event).is_err() {
            tracing::trace!("the last subscriber has just left");
        }
    }

    /// The kept events from number `from` on, oldest first.
    pub fn since(&self, from: u64) -> Vec<Event> {
        self.past().events.iter().filter(|event| event.sequence >= from).cloned().collect()
    }

    /// The kept faults about `subject`, newest first.
    pub fn faults_about(&self, subject: &str) -> Vec<Fault> {
        self.past()
            .events
            .iter()
            .rev()
            .filter(|event| event.is_about(subject))
            .filter_map(|e| e.fault.clone())
            .collect()
    }

    fn past(&self) -> MutexGuard<'_, Past> {
        // No code that can panic runs under the lock; a poisoned one still holds whole events.
        self.0.past.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// Sorts as the number does.
fn key(sequence: u64) -> String {
    format!("{sequence:020}")
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_fault::Layer;

    #[test]
    fn numbers_rise_old_events_go_and_the_rest_is_on_disk() {
        let dir = tempfile::tempdir().expect("temp dir");
        let db = Db::open(dir.path()).expect("opens");
        let journal = Journal::open(&db).expect("opens");
        db.write(|txn| {
            for _ in 0..KEPT + 2 {
                let event = journal.numbered(Event::new("k8s.io", Topic::NodeRecovered));
                journal.store(txn, &event)?;
                journal.announce(event);
            }
            Ok(())
        })
        .expect("writes");
        let kept = journal.since(0);
        assert_eq!((kept.len(), kept[0].sequence), (KEPT, 3));
        assert_eq!(journal.since(KEPT as u64 + 2).len(), 1);
        let again = Journal::open(&db).expect("opens again");
        assert_eq!(again.since(0), kept);
        again.publish(Event::new("k8s.io", Topic::NodeRecovered));
        assert_eq!(again.since(KEPT as u64 + 3).len(), 1);
    }

    #[test]
    fn faults_are_found_by_the_event_and_by_what_is_in_the_fault() {
        let dir = tempfile::tempdir().expect("temp dir");
        let journal = Journal::open(&Db::open(dir.path()).expect("opens")).expect("opens");
        let fault = Fault::new(Layer::Registry, "resolve", "401").of_image("r/a:1");
        journal.publish(Event::new("k8s.io", Topic::ImagePullFailed).image("a:1").fault(&fault));
        assert_eq!(journal.faults_about("a:1"), std::slice::from_ref(&fault));
        assert_eq!(journal.faults_about("r/a:1"), [fault]);
        assert!(journal.faults_about("b").is_empty());
    }
}
