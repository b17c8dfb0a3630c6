//! A write transaction over typed tables.

use super::store_fault;
use super::table::{Entry, Record, Table, decode, definition, encode, fault_of, namespace_range};
use plimsoll_fault::{Fault, Kind, Result};
use redb::{ReadableTable, WriteTransaction};
use serde::Serialize;
use serde::de::DeserializeOwned;

/// All reads see the writes before them in the same transaction; nothing is visible outside before it commits.
pub struct Txn(WriteTransaction);

impl Txn {
    pub(super) fn new(inner: WriteTransaction) -> Self {
        Self(inner)
    }

    pub(super) fn inner(&self) -> &WriteTransaction {
        &self.0
    }

    pub(super) fn commit(self) -> Result<()> {
        self.0.commit().map_err(|error| store_fault("write", "cannot commit", &error))
    }

    /// Writes a record, replacing the one there.
    pub fn put<T: Serialize>(&self, table: &Table<T>, namespace: &str, id: &str, record: &Record<T>) -> Result<()> {
        let bytes = encode(table.name(), namespace, id, record)?;
        let fault = |error: &(dyn std::error::Error + 'static)| fault_of("write", table.name(), namespace, id, error);
        let mut open = self.0.open_table(definition(table.name())).map_err(|e| fault(&e))?;
        open.insert((namespace, id), bytes.as_slice()).map_err(|e| fault(&e))?;
        Ok(())
    }

    /// Writes a record that must not be there yet; else `AlreadyExists`.
    pub fn insert<T: Serialize + DeserializeOwned>(
        &self,
        table: &Table<T>,
        namespace: &str,
        id: &str,
        record: &Record<T>,
    ) -> Result<()> {
        if self.read(table, namespace, id)?.is_some() {
            let what = format!("{} {namespace}/{id} is already there", table.name());
            return Err(Fault::invalid("write", what).kind(Kind::AlreadyExists));
        }
        self.put(table, namespace, id, record)
    }

    pub fn read<T: DeserializeOwned>(&self, table: &Table<T>, namespace: &str, id: &str) -> Result<Option<Record<T>>> {
        let fault = |error: &(dyn std::error::Error + 'static)| fault_of("read", table.name(), namespace, id, error);
        let open = self.0.open_table(definition(table.name())).map_err(|e| fault(&e))?;
        let found = open.get((namespace, id)).map_err(|e| fault(&e))?;
        found.map(|guard| decode(table.name(), namespace, id, guard.value())).transpose()
    }

    /// Changes a record in place; `None` if it is not there.
    pub fn update<T, R>(
        &self,
        table: &Table<T>,
        namespace: &str,
        id: &str,
        change: impl FnOnce(&mut Record<T>) -> Result<R>,
    ) -> Result<Option<R>>
    where
        T: Serialize + DeserializeOwned,
    {
        let Some(mut record) = self.read(table, namespace, id)? else { return Ok(None) };
        let result = change(&mut record)?;
        self.put(table, namespace, id, &record)?;
        Ok(Some(result))
    }

    /// Says whether the record was there.
    pub fn remove<T>(&self, table: &Table<T>, namespace: &str, id: &str) -> Result<bool> {
        let fault = |error: &(dyn std::error::Error + 'static)| fault_of("remove", table.name(), namespace, id, error);
        let mut open = self.0.open_table(definition(table.name())).map_err(|e| fault(&e))?;
        let removed = open.remove((namespace, id)).map_err(|e| fault(&e))?.is_some();
        Ok(removed)
    }

    /// The records of a namespace, or of all, in key order.
    pub fn list<T: DeserializeOwned>(&self, table: &Table<T>, namespace: Option<&str>) -> Result<Vec<Entry<T>>> {
        let fault = |error: &(dyn std::error::Error + 'static)| fault_of("list", table.name(), "", "", error);
        let open = self.0.open_table(definition(table.name())).map_err(|e| fault(&e))?;
        let range = namespace_range(&open, namespace).map_err(|e| fault(&e))?;
        super::table::collect(table.name(), range)
    }
}
