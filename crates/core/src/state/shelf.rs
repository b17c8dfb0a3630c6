//! One kind of record: the durable table and its image in memory. A write is durable before it is seen, and the event
//! that tells of it is written in the same transaction.

use crate::events::{Event, Journal};
use plimsoll_fault::{Fault, Layer, Result};
use plimsoll_image::Db;
use plimsoll_image::db::{Record, Table};
use serde::Serialize;
use serde::de::DeserializeOwned;
use std::collections::BTreeMap;
use std::sync::{Arc, Mutex, PoisonError, RwLock};

type Key = (String, String);

/// What the store keeps beside the value of every record.
pub(crate) trait Kept {
    fn labels(&self) -> &BTreeMap<String, String>;
    /// Nanoseconds since the epoch.
    fn created_at(&self) -> i64;
    /// The record that this one lives and dies with; `None` if it stands for itself.
    fn owner(&self) -> Option<String>;
}

/// Cheap to clone; all clones are one.
pub(crate) struct Shelf<T>(Arc<Inner<T>>);

struct Inner<T> {
    db: Db,
    table: Table<T>,
    journal: Journal,
    /// Keeps writers in order between the table and memory; only held on blocking threads.
    writer: Mutex<()>,
    memory: RwLock<BTreeMap<Key, T>>,
}

impl<T> Clone for Shelf<T> {
    fn clone(&self) -> Self {
        Self(self.0.clone())
    }
}

impl<T: Kept + Clone + Serialize + DeserializeOwned + Send + Sync + 'static> Shelf<T> {
    /// Reads all records of the table.
    pub(crate) fn open(db: &Db, name: &'static str, journal: Journal) -> Result<Self> {
        let table = db.table::<T>(name);
        let entries = table.list_all()?;
        let memory = entries.into_iter().map(|e| ((e.namespace, e.id), e.record.value)).collect();
        let inner = Inner { db: db.clone(), table, journal, writer: Mutex::new(()), memory: RwLock::new(memory) };
        Ok(Self(Arc::new(inner)))
    }

    pub(crate) fn find(&self, namespace: &str, id: &str) -> Option<T> {
        self.memory(|records| records.get(&(namespace.to_owned(), id.to_owned())).cloned())
    }

    /// The records of a namespace with their ids.
    pub(crate) fn list(&self, namespace: &str) -> Vec<(String, T)> {
        let own = |(key, value): (&Key, &T)| (key.0 == namespace).then(|| (key.1.clone(), value.clone()));
        self.memory(|records| records.iter().filter_map(own).collect())
    }

    /// Every record: namespace, id, value.
    pub(crate) fn all(&self) -> Vec<(String, String, T)> {
        self.memory(|records| records.iter().map(|(k, v)| (k.0.clone(), k.1.clone(), v.clone())).collect())
    }

    /// Writes a record.
    pub(crate) async fn put(&self, namespace: &str, id: &str, value: T, event: Option<Event>) -> Result<()> {
        let (shelf, key) = (self.clone(), (namespace.to_owned(), id.to_owned()));
        blocking(move || shelf.write(key, value, event)).await
    }

    /// Changes a record; `None` if it is not there. An event returned by `change` is written with it.
    pub(crate) async fn update(
        &self,
        namespace: &str,
        id: &str,
        change: impl FnOnce(&mut T) -> Option<Event> + Send + 'static,
    ) -> Result<Option<T>> {
        let (shelf, key) = (self.clone(), (namespace.to_owned(), id.to_owned()));
        blocking(move || {
            let inner = &shelf.0;
            let order = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let Some(mut value) = shelf.memory(|records| records.get(&key).cloned()) else { return Ok(None) };
            let event = change(&mut value);
            shelf.store(&key, &value, event)?;
            shelf.remember(key, value.clone());
            drop(order);
            Ok(Some(value))
        })
        .await
    }

    pub(crate) async fn remove(&self, namespace: &str, id: &str, event: Option<Event>) -> Result<()> {
        let (shelf, key) = (self.clone(), (namespace.to_owned(), id.to_owned()));
        blocking(move || {
            let inner = &shelf.0;
            let order = inner.writer.lock().unwrap_or_else(PoisonError::into_inner);
            let event = event.map(|event| inner.journal.numbered(event));
            inner.db.write(|txn| {
                txn.remove(&inner.table, &key.0, &key.1)?;
                event.as_ref().map_or(Ok(()), |event| inner.journal.store(txn, event))
            })?;
            inner.memory.write().unwrap_or_else(PoisonError::into_inner).remove(&key);
            drop(order);
            event.into_iter().for_each(|event| inner.journal.announce(event));
            Ok(())
        })
        .await
    }

    fn write(&self, key: Key, value: T, event: Option<Event>) -> Result<()> {
        let order = self.0.writer.lock().unwrap_or_else(PoisonError::into_inner);
        self.store(&key, &value, event)?;
        self.remember(key, value);
        drop(order);
        Ok(())
    }

    fn store(&self, key: &Key, value: &T, event: Option<Event>) -> Result<()> {
        let inner = &self.0;
        let event = event.map(|event| inner.journal.numbered(event));
        let record = Record {
            labels: value.labels().clone(),
            lease: value.owner(),
            created_at: u64::try_from(value.created_at()).unwrap_or_default(),
            value: value.clone(),
        };
        inner.db.write(|txn| {
            txn.put(&inner.table, &key.0, &key.1, &record)?;
            event.as_ref().map_or(Ok(()), |event| inner.journal.store(txn, event))
        })?;
        event.into_iter().for_each(|event| inner.journal.announce(event));
        Ok(())
    }

    fn remember(&self, key: Key, value: T) {
        self.0.memory.write().unwrap_or_else(PoisonError::into_inner).insert(key, value);
    }

    /// The maps are whole after each statement, so a panic elsewhere leaves them usable.
    fn memory<R>(&self, look: impl FnOnce(&BTreeMap<Key, T>) -> R) -> R {
        look(&self.0.memory.read().unwrap_or_else(PoisonError::into_inner))
    }
}

/// Runs what blocks on the disk on a thread for it.
pub(crate) async fn blocking<R: Send + 'static>(work: impl FnOnce() -> Result<R> + Send + 'static) -> Result<R> {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(e) => Err(Fault::new(Layer::Daemon, "worker", "a worker thread died").because(&e)),
    }
}
