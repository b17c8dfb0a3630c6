//! The connected shims, one per sandbox.

use crate::Core;
use crate::config::Handler;
use crate::paths;
use crate::shim::{Exit, Launch, Launcher, Shim};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::collections::HashMap;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};

type Key = (String, String);

#[derive(Default)]
pub(crate) struct Shims(Mutex<HashMap<Key, Shim>>);

impl Shims {
    pub(crate) fn keep(&self, namespace: &str, sandbox: &str, shim: Shim) {
        self.table().insert((namespace.to_owned(), sandbox.to_owned()), shim);
    }

    pub(crate) fn forget(&self, namespace: &str, sandbox: &str) {
        self.table().remove(&(namespace.to_owned(), sandbox.to_owned()));
    }

    pub(crate) fn find(&self, namespace: &str, sandbox: &str) -> Option<Shim> {
        self.table().get(&(namespace.to_owned(), sandbox.to_owned())).cloned()
    }

    /// The shim of a sandbox, or the fault that it is gone.
    pub(crate) fn of(&self, namespace: &str, sandbox: &str) -> Result<Shim> {
        self.find(namespace, sandbox).ok_or_else(|| {
            Fault::new(Layer::Shim, "connect", "the pod's shim is gone").kind(Kind::Unavailable).in_pod(sandbox)
        })
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Key, Shim>> {
        // The table is whole after each statement, so a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the shims of a handler are started.
pub(crate) fn launcher(core: &Core, handler: &Handler) -> Launcher {
    let config = core.config();
    Launcher {
        binary: handler.shim.clone(),
        socket_dir: Some(paths::socket_dir(&config.state)),
        daemon_socket: config.socket.clone(),
        debug: false,
        deadline: config.timeouts.shim_start,
    }
}

/// The sandbox's shim, connected anew if the connection was lost. `None` when nobody listens any more.
pub(crate) async fn alive(core: &Core, namespace: &str, sandbox: &str) -> Option<Shim> {
    if let Some(shim) = core.shims().find(namespace, sandbox)
        && shim.ping_sandbox(sandbox).await.is_ok()
    {
        return Some(shim);
    }
    let address = core.sandboxes().find(namespace, sandbox)?.shim_address?;
    let shim = Shim::connect(&address).await.ok()?;
    shim.ping_sandbox(sandbox).await.ok()?;
    core.shims().keep(namespace, sandbox, shim.clone());
    Some(shim)
}

/// Removes the socket file of a shim that is gone. Only ours, below the state folder; one that is not there is no error.
pub(crate) fn remove_socket(core: &Core, address: &str) -> Result<()> {
    let path = Path::new(address.strip_prefix("unix://").unwrap_or(address));
    if path.parent() != Some(paths::socket_dir(&core.config().state).as_path()) {
        return Ok(());
    }
    match std::fs::remove_file(path) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            let what = format!("cannot remove the shim socket {}", path.display());
            Err(Fault::new(Layer::Store, "shim", what).because(&e))
        }
        _ => Ok(()),
    }
}

/// The file in a bundle in which our shim writes down an exit before it tells anybody.
const EXIT_FILE: &str = "plimsoll-exit.json";

/// Runs the shim program's `delete` for a container whose shim is gone: ends its processes and removes its cgroup and
/// mounts. Returns the exit if the shim had written it down.
pub(crate) async fn clean_up_after(core: &Core, namespace: &str, sandbox: &str, id: &str) -> Result<Option<Exit>> {
    let handler = core.sandboxes().find(namespace, sandbox).map(|record| record.handler).unwrap_or_default();
    let (_, handler) = core.handler(&handler)?;
    let bundle = paths::bundle(&core.config().state, namespace, id);
    if !bundle.exists() {
        return Ok(None);
    }
    let known = bundle.join(EXIT_FILE).exists();
    let exit = launcher(core, &handler).cleanup(Launch { namespace, id, bundle: &bundle }).await?;
    Ok(known.then_some(exit))
}
