use super::*;

fn store() -> (tempfile::TempDir, Db, Content) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let content = Content::open(&db).unwrap();
    (dir, db, content)
}

#[test]
fn put_then_read_and_records_per_namespace() {
    let (_dir, _db, content) = store();
    let digest = Digest::sha256(b"hello");
    content.put("a", &digest, b"hello").unwrap();
    content.adopt("b", &digest, BTreeMap::from([("k".into(), "v".into())])).unwrap();
    assert_eq!(content.read(&digest, 10).unwrap(), b"hello");
    assert_eq!(content.read(&digest, 4).unwrap_err().class(), Kind::DataLoss);
    let records = content.records().unwrap();
    assert_eq!(records.len(), 2);
    assert!(records[0].record.labels.is_empty() && records[1].record.labels["k"] == "v");
    assert_eq!(content.usage().unwrap(), (5, 1));
}

#[test]
fn wrong_bytes_are_refused_and_leave_nothing() {
    let (_dir, _db, content) = store();
    let digest = Digest::sha256(b"hello");
    let fault = content.put("a", &digest, b"hullo").unwrap_err();
    assert_eq!((fault.layer(), fault.class()), (&Layer::Image, Kind::DataLoss));
    assert_eq!(content.size(&digest).unwrap(), None);
    assert!(fs::read_dir(content.folder.join("ingest")).unwrap().next().is_none());
    content.put("a", &digest, b"hello").unwrap();
}

#[test]
fn an_ingest_is_resumed_where_it_stopped_and_has_one_writer() {
    let (_dir, _db, content) = store();
    let mut first = content.ingest("layer-x").unwrap();
    first.write(b"hel").unwrap();
    assert_eq!(content.ingest("layer-x").err().unwrap().class(), Kind::Unavailable);
    drop(first);
    let mut second = content.ingest("layer-x").unwrap();
    assert_eq!(second.offset(), 3);
    second.write(b"lo").unwrap();
    second.commit("a", &Digest::sha256(b"hello"), 5).unwrap();
    assert_eq!(content.read(&Digest::sha256(b"hello"), 10).unwrap(), b"hello");
}

#[test]
fn a_reader_follows_the_writer_to_its_end_or_failure() {
    let (_dir, _db, content) = store();
    for commit in [true, false] {
        let mut ingest = content.ingest("grow").unwrap();
        let growing = Growing::new();
        let mut reader = content.follower("grow", &Digest::sha256(b"one two"), growing.clone());
        let follower = std::thread::spawn(move || {
            let mut text = String::new();
            reader.read_to_string(&mut text).map(|_| text)
        });
        ingest.follow(growing);
        ingest.write(b"one ").unwrap();
        ingest.write(b"two").unwrap();
        if commit {
            ingest.commit("a", &Digest::sha256(b"one two"), 7).unwrap();
            assert_eq!(follower.join().unwrap().unwrap(), "one two");
        } else {
            ingest.abort();
            assert!(follower.join().unwrap().is_err());
        }
    }
}

#[test]
fn a_whole_blob_without_a_record_is_adopted() {
    let (_dir, db, content) = store();
    let digest = Digest::sha256(b"hello");
    fs::write(content.path(&digest), b"hello").unwrap();
    let content = Content::open(&db).unwrap();
    content.put("a", &digest, b"hello").unwrap();
    assert_eq!(content.records().unwrap().len(), 1);
}
