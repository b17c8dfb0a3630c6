//! The one database of a root: opening it, its schema version, its transactions. Calls block on the disk for about a
//! fsync; from async code, call them where a short block is harmless or through `spawn_blocking`.

mod lock;
mod schema;
mod table;
mod txn;

pub(crate) use table::now;
pub use table::{Entry, Record, Table};
pub use txn::Txn;

use crate::limits;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use redb::{Database, Durability, ReadableDatabase};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// A handle on the database; clones share it. Dropping the last one gives the root up.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    database: Database,
    root: PathBuf,
    /// Held until the database is closed: fields drop in order.
    _lock: lock::RootLock,
}

impl Db {
    /// Takes possession of `root` (made 0700 if it is not there) and opens `ROOT/meta.redb`. Refused if another process
    /// owns the root (the fault names its pid) or if a newer version wrote the database.
    pub fn open(root: &Path) -> Result<Self> {
        DirBuilder::new().recursive(true).mode(0o700).create(root).map_err(|error| {
            let fault = Fault::new(Layer::Store, "open", format!("cannot make the root folder {}", root.display()));
            fault.because(&error)
        })?;
        let lock = lock::RootLock::take(root)?;
        let path = root.join("meta.redb");
        let database = Database::builder()
            .set_cache_size(limits::DB_CACHE)
            .create(&path)
            .map_err(|error| store_fault("open", &format!("cannot open the database {}", path.display()), &error))?;
        let db = Self(Arc::new(Inner { database, root: root.to_owned(), _lock: lock }));
        db.write(schema::bring_up_to_date)?;
        Ok(db)
    }

    /// The root folder that this database owns.
    pub fn root(&self) -> &Path {
        &self.0.root
    }

    /// A typed table. The name is part of the schema.
    pub fn table<T>(&self, name: &'static str) -> Table<T> {
        Table::new(self.clone(), name)
    }

    /// One durable transaction over any tables. If `act` fails, nothing is written.
    pub fn write<R>(&self, act: impl FnOnce(&Txn) -> Result<R>) -> Result<R> {
        self.transact(Durability::Immediate, act)
    }

    /// The same, but durable only with the next [`Db::write`]: for what a crash may take back, because it is found or made
    /// again. Seen by all readers at once.
    pub fn write_soon<R>(&self, act: impl FnOnce(&Txn) -> Result<R>) -> Result<R> {
        self.transact(Durability::None, act)
    }

    fn transact<R>(&self, durability: Durability, act: impl FnOnce(&Txn) -> Result<R>) -> Result<R> {
        let mut inner = self.0.database.begin_write().map_err(|e| store_fault("write", "cannot begin a write", &e))?;
        inner.set_durability(durability).map_err(|e| store_fault("write", "cannot set durability", &e))?;
        // Without it, opening after a kill walks the whole file.
        inner.set_quick_repair(true);
        let txn = Txn::new(inner);
        let result = act(&txn)?;
        txn.commit()?;
        Ok(result)
    }

    fn read<R>(&self, act: impl FnOnce(&redb::ReadTransaction) -> Result<R>) -> Result<R> {
        let txn = self.0.database.begin_read().map_err(|e| store_fault("read", "cannot begin a read", &e))?;
        act(&txn)
    }
}

/// A failure of the database itself; a full disk is told apart.
pub(crate) fn store_fault(phase: &str, what: &str, error: &(dyn std::error::Error + 'static)) -> Fault {
    let fault = Fault::new(Layer::Store, phase, what).because(error);
    match errno_of(error) {
        Some(errno) if errno == enospc() => fault.kind(Kind::ResourceExhausted).detail(|d| d.errno = Some(errno)),
        Some(errno) => fault.detail(|d| d.errno = Some(errno)),
        None => fault,
    }
}

fn errno_of(error: &(dyn std::error::Error + 'static)) -> Option<i32> {
    let mut next = Some(error);
    while let Some(cause) = next {
        if let Some(io) = cause.downcast_ref::<std::io::Error>() {
            return io.raw_os_error();
        }
        next = cause.source();
    }
    None
}

const fn enospc() -> i32 {
    28
}

#[cfg(test)]
mod tests;
