use super::*;
use crate::snapshot::namespaced::Namespaced;
use crate::snapshot::testsuite;

fn overlay() -> (tempfile::TempDir, Db, Overlay) {
    let dir = tempfile::tempdir().unwrap();
    let db = Db::open(dir.path()).unwrap();
    let overlay = Overlay::open(&db, Rights::NONE).unwrap();
    (dir, db, overlay)
}

#[test]
fn meets_the_contract() {
    let (_dir, _db, overlay) = overlay();
    testsuite::run(&overlay);
    testsuite::run(&Namespaced { inner: overlay.clone(), namespace: "k8s.io".into(), freed: Box::new(|_| Ok(())) });
    overlay.settle();
    assert_eq!(fs::read_dir(&*overlay.folder).unwrap().count(), 0, "no folder is left");
}

#[test]
fn mounts_name_lowers_topmost_first() {
    let (dir, _db, overlay) = overlay();
    overlay.prepare("w", None, BTreeMap::new()).unwrap();
    overlay.commit("l1", "w", BTreeMap::new()).unwrap();
    overlay.prepare("w", Some("l1"), BTreeMap::new()).unwrap();
    overlay.commit("l2", "w", BTreeMap::new()).unwrap();
    let mounts = overlay.prepare("c", Some("l2"), BTreeMap::new()).unwrap();
    let base = dir.path().join("snapshots/overlayfs").display().to_string();
    assert_eq!(mounts[0].kind, "overlay");
    assert!(mounts[0].options.contains(&format!("lowerdir={base}/2/fs:{base}/1/fs")), "{mounts:?}");
    assert!(mounts[0].options.contains(&format!("upperdir={base}/3/fs")));
    let view = overlay.view("v", Some("l1"), BTreeMap::new()).unwrap();
    assert_eq!((view[0].kind.as_str(), view[0].source.clone()), ("bind", format!("{base}/1/fs")));
}

#[test]
fn staged_folders_vanish_unless_adopted_and_orphans_are_swept() {
    let (_dir, db, overlay) = overlay();
    let staged = overlay.stage().unwrap();
    let path = staged.files();
    assert!(path.is_dir());
    drop(staged);
    assert!(!path.exists());
    let staged = overlay.stage().unwrap();
    overlay.adopt(staged, "sha", None, &Applied::default()).unwrap();
    assert!(overlay.is_committed("sha").unwrap());
    fs::create_dir_all(overlay.folder.join("77/fs")).unwrap();
    let again = Overlay::open(&db, Rights::NONE).unwrap();
    again.settle();
    assert!(!overlay.folder.join("77").exists() && overlay.folder.join("2").exists());
}

#[test]
fn layers_of_another_boot_are_doubtful_until_replaced_and_flushed() {
    let (_dir, db, mut overlay) = overlay();
    overlay.boot = "another".into();
    overlay.adopt(overlay.stage().unwrap(), "sha", None, &Applied::default()).unwrap();
    let now = Overlay::open(&db, Rights::NONE).unwrap();
    assert_eq!(now.doubtful().unwrap(), [("sha".to_owned(), None)]);
    now.replace(now.stage().unwrap(), "sha", None, &Applied::default()).unwrap();
    assert!(now.doubtful().unwrap().is_empty());
    now.settle();
    assert!(!now.folder.join("1").exists() && now.folder.join("2").exists());
    assert_eq!(now.unsynced().unwrap().len(), 1);
    now.sync().unwrap();
    assert!(now.unsynced().unwrap().is_empty());
}
