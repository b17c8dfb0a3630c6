//! The contract of [`Snapshotter`] as code: runs on any implementation, given an empty one. Panics on the first breach.
//! Needs no privileges: nothing is mounted.

use super::{SnapshotKind, Snapshotter};
use plimsoll_fault::{Kind, Result};
use std::collections::BTreeMap;

/// Runs the whole suite.
pub fn run(snapshotter: &dyn Snapshotter) {
    keys_are_taken_once(snapshotter);
    parents_are_committed(snapshotter);
    commit_frees_the_key(snapshotter);
    removal_respects_children(snapshotter);
    views_are_read_only(snapshotter);
    labels_and_times(snapshotter);
    assert!(snapshotter.walk().is_ok_and(|all| all.is_empty()), "the suite left snapshots behind");
}

fn none() -> BTreeMap<String, String> {
    BTreeMap::new()
}

#[track_caller]
fn good<T>(result: Result<T>) -> T {
    result.unwrap_or_else(|fault| panic!("{fault}"))
}

#[track_caller]
fn refused<T>(result: Result<T>, kind: Kind) {
    match result {
        Ok(_) => panic!("was not refused"),
        Err(fault) => assert_eq!(fault.class(), kind, "{fault}"),
    }
}

fn keys_are_taken_once(s: &dyn Snapshotter) {
    let mounts = good(s.prepare("a", None, none()));
    assert_eq!(mounts, good(s.mounts("a")), "mounts() repeats what prepare() said");
    refused(s.prepare("a", None, none()), Kind::AlreadyExists);
    refused(s.view("a", None, none()), Kind::AlreadyExists);
    good(s.remove("a"));
    refused(s.remove("a"), Kind::NotFound);
    refused(s.stat("a"), Kind::NotFound);
    refused(s.mounts("a"), Kind::NotFound);
}

fn parents_are_committed(s: &dyn Snapshotter) {
    refused(s.prepare("child", Some("nobody"), none()), Kind::NotFound);
    good(s.prepare("active", None, none()));
    refused(s.prepare("child", Some("active"), none()), Kind::FailedPrecondition);
    assert!(s.stat("child").is_err(), "a refused prepare leaves nothing");
    good(s.remove("active"));
}

fn commit_frees_the_key(s: &dyn Snapshotter) {
    good(s.prepare("work", None, none()));
    good(s.commit("base", "work", none()));
    refused(s.stat("work"), Kind::NotFound);
    assert_eq!(good(s.stat("base")).kind, SnapshotKind::Committed);
    refused(s.mounts("base"), Kind::FailedPrecondition);
    refused(s.commit("again", "base", none()), Kind::FailedPrecondition);
    refused(s.commit("again", "work", none()), Kind::NotFound);
    good(s.prepare("work", Some("base"), none()));
    refused(s.commit("base", "work", none()), Kind::AlreadyExists);
    assert_eq!(good(s.stat("work")).kind, SnapshotKind::Active, "a refused commit changes nothing");
    assert_eq!(good(s.stat("work")).parent.as_deref(), Some("base"));
    good(s.remove("work"));
    good(s.remove("base"));
}

fn removal_respects_children(s: &dyn Snapshotter) {
    good(s.prepare("w1", None, none()));
    good(s.commit("l1", "w1", none()));
    good(s.prepare("w2", Some("l1"), none()));
    good(s.commit("l2", "w2", none()));
    good(s.prepare("top", Some("l2"), none()));
    refused(s.remove("l2"), Kind::FailedPrecondition);
    refused(s.remove("l1"), Kind::FailedPrecondition);
    let keys: Vec<String> = good(s.walk()).into_iter().map(|info| info.key).collect();
    assert_eq!(keys, ["l1", "l2", "top"]);
    for key in ["top", "l2", "l1"] {
        good(s.remove(key));
    }
}

fn views_are_read_only(s: &dyn Snapshotter) {
    good(s.prepare("w1", None, none()));
    good(s.commit("l1", "w1", none()));
    good(s.prepare("w2", Some("l1"), none()));
    good(s.commit("l2", "w2", none()));
    let view = good(s.view("v", Some("l2"), none()));
    assert_eq!(good(s.stat("v")).kind, SnapshotKind::View);
    let writable = view.iter().any(|m| m.options.iter().any(|o| o == "rw" || o.starts_with("upperdir=")));
    assert!(!writable, "a view's mounts are read-only: {view:?}");
    refused(s.commit("x", "v", none()), Kind::FailedPrecondition);
    let active = good(s.prepare("a", Some("l2"), none()));
    assert!(active.iter().all(|m| !m.options.iter().any(|o| o == "ro")), "an active one's are not: {active:?}");
    for key in ["a", "v", "l2", "l1"] {
        good(s.remove(key));
    }
}

fn labels_and_times(s: &dyn Snapshotter) {
    let labels = BTreeMap::from([("k".to_owned(), "v".to_owned())]);
    good(s.prepare("a", None, labels.clone()));
    let before = good(s.stat("a"));
    assert_eq!(before.labels, labels);
    good(s.label("a", none()));
    let after = good(s.stat("a"));
    assert!(after.labels.is_empty() && after.updated_at >= before.updated_at && after.created_at == before.created_at);
    refused(s.label("nobody", none()), Kind::NotFound);
    good(s.usage("a"));
    good(s.remove("a"));
}
