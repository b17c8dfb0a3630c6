//! Processes that an earlier daemon has left and no record owns: containers that the runtime's state folder still knows, and
//! PID 1s of pods. Ended through the shim program's `delete` at the start of the daemon, before their folders are swept.

use crate::{Core, paths, shims};
use std::collections::BTreeSet;
use std::path::Path;
use std::time::Duration;
use tokio::task::JoinSet;

/// How long they may hold up the start of the daemon; what takes longer goes on beside its work.
const PATIENCE: Duration = Duration::from_secs(5);

type Key = (String, String);

pub(crate) async fn end(core: &Core) {
    let state = &core.config().state;
    let containers = keys(core.containers().all());
    let pods = keys(core.sandboxes().all());
    let mut ends = JoinSet::new();
    // The linked runtime knows its containers by folders, a program's are known by their bundles.
    let kept = |(namespace, id): &Key| paths::is_kept(&paths::bundle(state, namespace, id));
    let bundles = strangers(&state.join("tasks"), &containers).into_iter().filter(kept);
    // A sandbox may be a container too.
    let known = containers.union(&pods).cloned().collect();
    let all: BTreeSet<Key> = strangers(&state.join("runtime"), &known).into_iter().chain(bundles).collect();
    for (namespace, id) in all {
        let core = core.clone();
        ends.spawn(async move {
            match shims::clean_up_after(&core, &namespace, "", &id).await {
                Ok(_exit) => tracing::info!(container = id, "removed a container that no record owns"),
                Err(fault) => {
                    tracing::error!(container = id, %fault, "a container that no record owns was not removed")
                }
            }
        });
    }
    for (namespace, id) in strangers(&state.join("sandboxes"), &pods) {
        let core = core.clone();
        ends.spawn(async move {
            if let Err(fault) = shims::clean_up_sandbox(&core, &namespace, &id).await {
                tracing::error!(sandbox = id, %fault, "processes of a sandbox that no record owns were not ended");
            }
        });
    }
    if tokio::time::timeout(PATIENCE, async { while ends.join_next().await.is_some() {} }).await.is_err() {
        tracing::warn!("ending what no record owns takes long and goes on beside the daemon's work");
        ends.detach_all();
    }
}

fn keys<R>(records: impl IntoIterator<Item = (String, String, R)>) -> BTreeSet<Key> {
    records.into_iter().map(|(namespace, id, _)| (namespace, id)).collect()
}

/// `<top>/<namespace>/<id>` that is not in `known`.
fn strangers(top: &Path, known: &BTreeSet<Key>) -> Vec<Key> {
    let names = |path: &Path| -> Vec<String> {
        let entries = std::fs::read_dir(path).into_iter().flatten().flatten();
        entries.filter_map(|entry| entry.file_name().into_string().ok()).collect()
    };
    let all = names(top).into_iter().flat_map(|namespace| {
        let ids = names(&top.join(&namespace));
        ids.into_iter().map(move |id| (namespace.clone(), id))
    });
    all.filter(|key| !known.contains(key)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_no_record_owns_is_a_stranger() {
        let folder = tempfile::tempdir().expect("a folder");
        for path in ["k8s.io/a", "k8s.io/b", "other/a"] {
            std::fs::create_dir_all(folder.path().join(path)).expect("mkdir");
        }
        let key = |namespace: &str, id: &str| (namespace.to_owned(), id.to_owned());
        let mut found = strangers(folder.path(), &BTreeSet::from([key("k8s.io", "a")]));
        found.sort();
        assert_eq!(found, [key("k8s.io", "b"), key("other", "a")]);
        assert_eq!(strangers(&folder.path().join("missing"), &BTreeSet::new()), []);
    }
}
