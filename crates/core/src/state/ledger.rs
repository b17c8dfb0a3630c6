//! The network's write-ahead ledger in the one database.

use plimsoll_fault::Result;
use plimsoll_image::Db;
use plimsoll_image::db::{Record, Table};
use plimsoll_net::{Entry, Ledger};

/// Sandbox ids are unique on a node, so that one database namespace holds all entries.
const NAMESPACE: &str = "net";

pub(crate) struct DurableLedger(Table<Entry>);

impl DurableLedger {
    pub(crate) fn open(db: &Db) -> Self {
        Self(db.table("attachments"))
    }
}

impl Ledger for DurableLedger {
    fn record(&self, entry: &Entry) -> Result<()> {
        self.0.put(NAMESPACE, &entry.sandbox, &Record::new(entry.clone()))
    }

    fn forget(&self, sandbox: &str) -> Result<()> {
        self.0.remove(NAMESPACE, sandbox).map(|_was_there| ())
    }

    fn find(&self, sandbox: &str) -> Result<Option<Entry>> {
        Ok(self.0.read(NAMESPACE, sandbox)?.map(|record| record.value))
    }

    fn entries(&self) -> Result<Vec<Entry>> {
        Ok(self.0.list(NAMESPACE)?.into_iter().map(|entry| entry.record.value).collect())
    }
}
