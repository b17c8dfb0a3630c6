//! The same bundle under several runtimes: what the program saw and how it ended must be equal.

use crate::runtimes::{Runtime, runtimes};
use crate::{Bundle, Scratch, bundle};

/// What every runtime must agree on.
#[derive(Debug, PartialEq, Eq)]
pub struct Seen {
    pub code: i32,
    pub stdout: String,
}

/// Runs the bundle that `prepare` makes under plimrun and each peer, and asserts that the peers did what ours did. Returns it.
///
/// # Panics
/// When one differs, or a runtime leaves something behind.
#[track_caller]
pub fn same(prepare: impl Fn(&mut Bundle)) -> Seen {
    same_under(&runtimes(), prepare)
}

/// As [`same`], under these runtimes alone: where one of the peers is known to differ, the test says so and leaves it out.
///
/// # Panics
/// When one differs, or a runtime leaves something behind.
#[track_caller]
pub fn same_under(runtimes: &[Runtime], prepare: impl Fn(&mut Bundle)) -> Seen {
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    // The newest version that Debian 12's crun accepts; nothing here needs more.
    made.set("/ociVersion", serde_json::json!("1.0.2"));
    prepare(&mut made);
    let mut results = runtimes.iter().map(|runtime| {
        let output = runtime.run(&scratch, &made);
        (runtime.0, Seen { code: output.code, stdout: output.stdout }, output.stderr)
    });
    let (first, seen, said) = results.next().expect("a runtime");
    for (peer, theirs, stderr) in results {
        assert_eq!(seen, theirs, "{first} (left) and {peer}\n{first}: {said}\n{peer}: {stderr}");
    }
    // The parent of the containers' cgroups is nobody's; all leave it.
    let parent = format!("/{}", scratch.cgroup_prefix());
    let left: Vec<_> = scratch.leftovers().into_iter().filter(|what| !what.ends_with(&parent)).collect();
    assert!(left.is_empty(), "{left:?}");
    seen
}

/// Sets the program to a shell script.
pub fn sh(made: &mut Bundle, script: &str) {
    made.args(&["/bin/sh", "-c", script]);
}
