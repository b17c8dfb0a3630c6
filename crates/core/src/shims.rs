//! The connected shims, one per sandbox.

use crate::Core;
use crate::config::Handler;
use crate::paths;
use crate::shim::{Launcher, Shim};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::collections::HashMap;
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
