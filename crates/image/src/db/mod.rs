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
use redb::{
    CommitError, Database, DatabaseError, Durability, ReadableDatabase, StorageError, TableError, TransactionError,
};
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, PoisonError, RwLock};

/// A handle on the database; clones share it. Dropping the last one gives the root up.
#[derive(Clone)]
pub struct Db(Arc<Inner>);

struct Inner {
    /// `None` only if it broke and could not be opened again yet.
    database: RwLock<Option<Database>>,
    /// After a failed write (disk full) redb refuses everything until it is opened anew.
    broken: AtomicBool,
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
        let database = RwLock::new(Some(open_file(root)?));
        let db = Self(Arc::new(Inner { database, broken: AtomicBool::new(false), root: root.to_owned(), _lock: lock }));
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
        self.with(|database| {
            let mut inner = database.begin_write().map_err(|e| store_fault("write", "cannot begin a write", &e))?;
            inner.set_durability(durability).map_err(|e| store_fault("write", "cannot set durability", &e))?;
            // Without it, opening after a kill walks the whole file.
            inner.set_quick_repair(true);
            let txn = Txn::new(inner);
            let result = act(&txn)?;
            txn.commit()?;
            Ok(result)
        })
    }

    fn read<R>(&self, act: impl FnOnce(&redb::ReadTransaction) -> Result<R>) -> Result<R> {
        self.with(|database| {
            let txn = database.begin_read().map_err(|e| store_fault("read", "cannot begin a read", &e))?;
            act(&txn)
        })
    }

    fn with<R>(&self, act: impl FnOnce(&Database) -> Result<R>) -> Result<R> {
        if self.0.broken.load(Ordering::Acquire) {
            self.reopen()?;
        }
        let database = self.0.database.read().unwrap_or_else(PoisonError::into_inner);
        let open = database.as_ref().ok_or_else(|| Fault::new(Layer::Store, "open", "the database is closed"))?;
        let result = act(open);
        if result.as_ref().is_err_and(|fault: &Fault| fault.details().syscall.as_deref() == Some(BROKEN)) {
            self.0.broken.store(true, Ordering::Release);
        }
        result
    }

    fn reopen(&self) -> Result<()> {
        let mut database = self.0.database.write().unwrap_or_else(PoisonError::into_inner);
        if self.0.broken.load(Ordering::Acquire) {
            // The file is locked while it is open.
            drop(database.take());
            *database = Some(open_file(&self.0.root)?);
            self.0.broken.store(false, Ordering::Release);
        }
        Ok(())
    }
}

fn open_file(root: &Path) -> Result<Database> {
    let path = root.join("meta.redb");
    Database::builder()
        .set_cache_size(limits::DB_CACHE)
        .create(&path)
        .map_err(|error| store_fault("open", &format!("cannot open the database {}", path.display()), &error))
}

/// What the detail of a fault names when the database file itself failed.
const BROKEN: &str = "redb";

/// A failure of the database itself; a full disk is told apart.
pub(crate) fn store_fault(phase: &str, what: &str, error: &(dyn std::error::Error + 'static)) -> Fault {
    let fault = Fault::new(Layer::Store, phase, what).because(error);
    let Some(storage) = storage_error(error) else { return fault };
    let errno = match storage {
        StorageError::Io(io) => io.raw_os_error(),
        StorageError::PreviousIo => None,
        _ => return fault,
    };
    let fault = fault.detail(|detail| {
        detail.syscall = Some(BROKEN.to_owned());
        detail.errno = errno;
    });
    if errno == Some(ENOSPC) { fault.kind(Kind::ResourceExhausted) } else { fault }
}

fn storage_error<'e>(error: &'e (dyn std::error::Error + 'static)) -> Option<&'e StorageError> {
    if let Some(CommitError::Storage(storage)) = error.downcast_ref() {
        return Some(storage);
    }
    if let Some(TableError::Storage(storage)) = error.downcast_ref() {
        return Some(storage);
    }
    if let Some(TransactionError::Storage(storage)) = error.downcast_ref() {
        return Some(storage);
    }
    if let Some(DatabaseError::Storage(storage)) = error.downcast_ref() {
        return Some(storage);
    }
    error.downcast_ref()
}

const ENOSPC: i32 = 28;

#[cfg(test)]
mod tests;
