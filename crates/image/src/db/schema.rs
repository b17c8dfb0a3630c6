//! The schema version and the way from older ones. A database of a newer version is refused, never guessed at.

use super::{Txn, store_fault};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use redb::{ReadableTable, TableDefinition};

const META: TableDefinition<'static, &str, u64> = TableDefinition::new("meta");
const VERSION_KEY: &str = "schema";

type Migration = fn(&Txn) -> Result<()>;

/// `MIGRATIONS[n]` leads from version n+1 to n+2.
const MIGRATIONS: &[Migration] = &[];

/// The version that this program writes.
pub(super) const VERSION: u64 = 1 + MIGRATIONS.len() as u64;

pub(super) fn bring_up_to_date(txn: &Txn) -> Result<()> {
    migrate(txn, VERSION, MIGRATIONS)
}

fn migrate(txn: &Txn, wanted: u64, steps: &[Migration]) -> Result<()> {
    let found = read_version(txn)?;
    match found {
        None => {}
        Some(version) if version > wanted => {
            let what = format!("database has schema version {version}, this program knows up to {wanted}");
            let fault = Fault::new(Layer::Store, "open", what).kind(Kind::FailedPrecondition);
            return Err(fault.hint("a newer version wrote it: run that version, or use another root"));
        }
        Some(version) => {
            for step in steps.iter().skip(version.saturating_sub(1) as usize) {
                step(txn)?;
            }
        }
    }
    if found == Some(wanted) { Ok(()) } else { write_version(txn, wanted) }
}

fn read_version(txn: &Txn) -> Result<Option<u64>> {
    let fault =
        |error: &(dyn std::error::Error + 'static)| store_fault("open", "cannot read the schema version", error);
    let table = txn.inner().open_table(META).map_err(|e| fault(&e))?;
    let version = table.get(VERSION_KEY).map_err(|e| fault(&e))?.map(|guard| guard.value());
    Ok(version)
}

fn write_version(txn: &Txn, version: u64) -> Result<()> {
    let fault =
        |error: &(dyn std::error::Error + 'static)| store_fault("open", "cannot write the schema version", error);
    let mut table = txn.inner().open_table(META).map_err(|e| fault(&e))?;
    table.insert(VERSION_KEY, version).map_err(|e| fault(&e))?;
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::Db;

    #[test]
    fn newer_database_is_refused_and_older_is_migrated_once() {
        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path()).unwrap();
        db.write(|txn| write_version(txn, 9)).unwrap();
        drop(db);
        let fault = Db::open(dir.path()).err().unwrap();
        assert!(fault.to_string().contains("schema version 9"), "{fault}");

        let dir = tempfile::tempdir().unwrap();
        let db = Db::open(dir.path()).unwrap();
        let mark: Migration = |txn| {
            let mut table = txn.inner().open_table(META).unwrap();
            table.insert("mark", 7).unwrap();
            Ok(())
        };
        db.write(|txn| migrate(txn, 2, &[mark])).unwrap();
        db.write(|txn| {
            let table = txn.inner().open_table(META).unwrap();
            assert_eq!(table.get("mark").unwrap().unwrap().value(), 7);
            Ok(())
        })
        .unwrap();
        let refuse: Migration = |_| Err(Fault::new(Layer::Store, "x", "ran twice"));
        db.write(|txn| migrate(txn, 2, &[refuse])).unwrap();
    }
}
