use super::*;
use serde::{Deserialize, Serialize};

#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
struct Pod {
    name: String,
}

fn pod(name: &str) -> Record<Pod> {
    Record::new(Pod { name: name.into() })
}

#[test]
fn records_survive_reopening_and_namespaces_are_apart() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let table = db.table::<Pod>("pods");
    assert!(table.list_all().unwrap().is_empty());
    table.put("k8s.io", "a", &pod("one").with_lease("l")).unwrap();
    table.put("k8s.io2", "a", &pod("two")).unwrap();
    drop((table, db));
    let table = Db::open(dir.path()).unwrap().table::<Pod>("pods");
    let listed = table.list("k8s.io").unwrap();
    assert_eq!(listed.len(), 1);
    assert_eq!((listed[0].id.as_str(), listed[0].record.lease.as_deref()), ("a", Some("l")));
    assert_eq!(table.list_all().unwrap().len(), 2);
    assert!(table.remove("k8s.io", "a").unwrap());
    assert!(!table.remove("k8s.io", "a").unwrap());
    assert!(table.read("k8s.io", "a").unwrap().is_none());
}

#[test]
fn second_owner_is_refused_by_pid() {
    let dir = tempfile::tempdir().unwrap();
    let _db = Db::open(dir.path()).unwrap();
    let fault = Db::open(dir.path()).err().unwrap();
    assert_eq!(fault.class(), Kind::FailedPrecondition);
    assert!(fault.to_string().contains(&format!("process {}", std::process::id())), "{fault}");
}

#[test]
fn a_failed_transaction_writes_nothing() {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let table = db.table::<Pod>("pods");
    let failed: Result<()> = db.write(|txn| {
        txn.put(&table, "ns", "a", &pod("x"))?;
        assert!(txn.read(&table, "ns", "a")?.is_some());
        Err(Fault::invalid("test", "no"))
    });
    assert!(failed.is_err());
    assert!(table.read("ns", "a").unwrap().is_none());
    table.insert("ns", "a", &pod("y")).unwrap();
    assert_eq!(table.insert("ns", "a", &pod("z")).unwrap_err().class(), Kind::AlreadyExists);
    let changed = table.update("ns", "a", |record| {
        record.value.name.push('!');
        Ok(record.value.name.len())
    });
    assert_eq!(changed.unwrap(), Some(2));
    assert_eq!(table.update("ns", "b", |_| Ok(())).unwrap(), None);
}
