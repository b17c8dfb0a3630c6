//! Many callers at once: 200 containers are made and deleted by 8 of them, and nothing is left.
#![cfg(feature = "privileged")]

use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Scratch, bundle, run};
use serde_json::json;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

const CONTAINERS: usize = 200;
const CALLERS: usize = 8;

#[test]
fn two_hundred_containers_by_eight_callers() {
    let scratch = Scratch::new();
    // One root filesystem for all: what is written in it is nobody's.
    let mut shared = bundle(&scratch);
    shared.args(&["sleep", "1000"]);
    let runtime = Runtime("plimrun");
    let (next, failures) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for caller in 0..CALLERS {
            let (scratch, next, failures, shared) = (&scratch, &next, &failures, &shared);
            scope.spawn(move || {
                let path = scratch.dir(&format!("caller{caller}"));
                let mut config = shared.config.clone();
                config["root"]["path"] = json!(shared.path.join("rootfs"));
                loop {
                    let number = next.fetch_add(1, Ordering::Relaxed);
                    if number >= CONTAINERS {
                        return;
                    }
                    config["linux"]["cgroupsPath"] = json!(format!("/{}/n{number}", scratch.cgroup_prefix()));
                    std::fs::write(path.join("config.json"), config.to_string()).expect("a config");
                    let id = scratch.id(&format!("n{number}"));
                    let bundle = path.to_string_lossy().into_owned();
                    for words in
                        [&["create", "--bundle", &bundle, &id][..], &["start", &id], &["delete", "--force", &id]]
                    {
                        let got = run(runtime.command(scratch).args(words));
                        if got.code != 0 {
                            failures.lock().expect("no panic").push(format!("{words:?}: {}", got.stderr));
                        }
                    }
                }
            });
        }
    });
    let failures = failures.into_inner().expect("no panic");
    assert!(failures.is_empty(), "{} failures, the first: {}", failures.len(), failures[0]);
    assert_eq!(run(runtime.command(&scratch).args(["list", "-q"])).ok(), "");
    let parent = format!("/{}", scratch.cgroup_prefix());
    let left: Vec<String> = scratch.lasting().into_iter().filter(|what| !what.ends_with(&parent)).collect();
    assert_eq!(left, Vec::<String>::new());
}
