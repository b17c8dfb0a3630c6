//! Typed tables keyed (namespace, id), and the record that every one of them holds.

use super::{Db, Txn, store_fault};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use redb::{Range, ReadableTable, StorageError, TableDefinition, TableError};
use serde::de::DeserializeOwned;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::marker::PhantomData;
use std::time::{SystemTime, UNIX_EPOCH};

type Key = (&'static str, &'static str);
type Value = &'static [u8];

/// What is stored: a value and what every record has besides.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Record<T> {
    pub value: T,
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    pub labels: BTreeMap<String, String>,
    /// The lease that owns the record; `None` if it stands for itself.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub lease: Option<String>,
    /// Nanoseconds since 1970-01-01 UTC.
    pub created_at: u64,
}

impl<T> Record<T> {
    /// A record created now, without labels and lease.
    pub fn new(value: T) -> Self {
        Self { value, labels: BTreeMap::new(), lease: None, created_at: now() }
    }

    #[must_use]
    pub fn with_labels(mut self, labels: BTreeMap<String, String>) -> Self {
        self.labels = labels;
        self
    }

    #[must_use]
    pub fn with_lease(mut self, lease: impl Into<String>) -> Self {
        self.lease = Some(lease.into());
        self
    }
}

/// Nanoseconds since 1970-01-01 UTC; 0 on a clock before that.
pub(crate) fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_nanos() as u64)
}

/// A record with its key.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Entry<T> {
    pub namespace: String,
    pub id: String,
    pub record: Record<T>,
}

/// A table of one kind of record. Each writing call is one durable transaction; [`Db::write`] joins several.
pub struct Table<T> {
    db: Db,
    name: &'static str,
    value: PhantomData<fn() -> T>,
}

impl<T> Clone for Table<T> {
    fn clone(&self) -> Self {
        Self { db: self.db.clone(), name: self.name, value: PhantomData }
    }
}

impl<T> Table<T> {
    pub(super) fn new(db: Db, name: &'static str) -> Self {
        Self { db, name, value: PhantomData }
    }

    pub fn name(&self) -> &'static str {
        self.name
    }
}

impl<T: Serialize + DeserializeOwned> Table<T> {
    /// Writes a record, replacing the one there.
    pub fn put(&self, namespace: &str, id: &str, record: &Record<T>) -> Result<()> {
        self.db.write(|txn| txn.put(self, namespace, id, record))
    }

    /// Writes a record that must not be there yet; else `AlreadyExists`.
    pub fn insert(&self, namespace: &str, id: &str, record: &Record<T>) -> Result<()> {
        self.db.write(|txn| txn.insert(self, namespace, id, record))
    }

    pub fn read(&self, namespace: &str, id: &str) -> Result<Option<Record<T>>> {
        let fault = |error: &(dyn std::error::Error + 'static)| fault_of("read", self.name, namespace, id, error);
        self.db.read(|txn| {
            let table = match txn.open_table(definition(self.name)) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => return Ok(None),
                Err(error) => return Err(fault(&error)),
            };
            let found = table.get((namespace, id)).map_err(|e| fault(&e))?;
            found.map(|guard| decode(self.name, namespace, id, guard.value())).transpose()
        })
    }

    /// The records of a namespace in key order.
    pub fn list(&self, namespace: &str) -> Result<Vec<Entry<T>>> {
        self.scan(Some(namespace))
    }

    /// The records of all namespaces in key order.
    pub fn list_all(&self) -> Result<Vec<Entry<T>>> {
        self.scan(None)
    }

    /// Changes a record in place; `None` if it is not there.
    pub fn update<R>(
        &self,
        namespace: &str,
        id: &str,
        change: impl FnOnce(&mut Record<T>) -> Result<R>,
    ) -> Result<Option<R>> {
        self.db.write(|txn| txn.update(self, namespace, id, change))
    }

    /// Says whether the record was there.
    pub fn remove(&self, namespace: &str, id: &str) -> Result<bool> {
        self.db.write(|txn: &Txn| txn.remove(self, namespace, id))
    }

    fn scan(&self, namespace: Option<&str>) -> Result<Vec<Entry<T>>> {
        let fault = |error: &(dyn std::error::Error + 'static)| fault_of("list", self.name, "", "", error);
        self.db.read(|txn| {
            let table = match txn.open_table(definition(self.name)) {
                Ok(table) => table,
                Err(TableError::TableDoesNotExist(_)) => return Ok(Vec::new()),
                Err(error) => return Err(fault(&error)),
            };
            let range = namespace_range(&table, namespace).map_err(|e| fault(&e))?;
            collect(self.name, range)
        })
    }
}

pub(super) fn definition(name: &'static str) -> TableDefinition<'static, Key, Value> {
    TableDefinition::new(name)
}

pub(super) fn namespace_range<'t>(
    table: &'t impl ReadableTable<Key, Value>,
    namespace: Option<&str>,
) -> std::result::Result<Range<'t, Key, Value>, StorageError> {
    match namespace {
        // The next possible namespace is this one with a zero byte behind it.
        Some(ns) => {
            let end = format!("{ns}\0");
            table.range((ns, "")..(end.as_str(), ""))
        }
        None => table.range::<(&str, &str)>(..),
    }
}

pub(super) fn collect<T: DeserializeOwned>(table: &str, range: Range<'_, Key, Value>) -> Result<Vec<Entry<T>>> {
    let mut entries = Vec::new();
    for item in range {
        let (key, value) = item.map_err(|error| fault_of("list", table, "", "", &error))?;
        let (namespace, id) = key.value();
        let record = decode(table, namespace, id, value.value())?;
        entries.push(Entry { namespace: namespace.to_owned(), id: id.to_owned(), record });
    }
    Ok(entries)
}

pub(super) fn encode<T: Serialize>(table: &str, namespace: &str, id: &str, record: &Record<T>) -> Result<Vec<u8>> {
    serde_json::to_vec(record).map_err(|error| fault_of("encode", table, namespace, id, &error))
}

pub(super) fn decode<T: DeserializeOwned>(table: &str, namespace: &str, id: &str, bytes: &[u8]) -> Result<Record<T>> {
    serde_json::from_slice(bytes).map_err(|error| {
        let what = format!("record {namespace}/{id} of table {table} cannot be read");
        Fault::new(Layer::Store, "read", what).kind(Kind::DataLoss).because(&error)
    })
}

pub(super) fn fault_of(
    phase: &str,
    table: &str,
    namespace: &str,
    id: &str,
    error: &(dyn std::error::Error + 'static),
) -> Fault {
    store_fault(phase, &format!("cannot {phase} {namespace}/{id} in table {table}"), error)
}
