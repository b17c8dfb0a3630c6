//! Where things of sandboxes and containers lie below the state folder. Ids are ours (hexadecimal) and namespaces are
//! checked, so that joining them makes no surprises.

use plimsoll_fault::{Fault, Result};
use std::path::{Path, PathBuf};

pub(crate) fn sandbox_dir(state: &Path, namespace: &str, id: &str) -> PathBuf {
    state.join("sandboxes").join(namespace).join(id)
}

/// Where the shim pins the pod's namespaces.
pub(crate) fn ns_dir(state: &Path, namespace: &str, id: &str) -> PathBuf {
    sandbox_dir(state, namespace, id).join("ns")
}

/// The bundle of a container.
pub(crate) fn bundle(state: &Path, namespace: &str, id: &str) -> PathBuf {
    state.join("tasks").join(namespace).join(id)
}

/// State of the OCI runtime that is linked into the shim.
pub(crate) fn runtime_root(state: &Path, namespace: &str) -> PathBuf {
    state.join("runtime").join(namespace)
}

/// State of the OCI runtime program of a handler.
pub(crate) fn program_root(state: &Path, handler: &str, namespace: &str) -> PathBuf {
    state.join("oci").join(handler).join(namespace)
}

/// Whether the bundle says that a runtime may still know its container: our shim writes the file before it makes anything of
/// one, and removes it when everything is gone.
pub(crate) fn is_kept(bundle: &Path) -> bool {
    bundle.join("plimsoll-task.json").exists()
}

/// The root filesystem of sandbox containers; below the persistent root, for `/run` may be mounted noexec.
pub(crate) fn pause_dir(root: &Path) -> PathBuf {
    root.join("pause")
}

/// Where shims publish events.
pub(crate) fn events_socket(state: &Path) -> PathBuf {
    state.join("events.sock")
}

/// Shim sockets: short, for `sun_path` has 108 bytes.
pub(crate) fn socket_dir(state: &Path) -> PathBuf {
    state.join("s")
}

/// A record namespace becomes a folder name.
pub(crate) fn check_namespace(namespace: &str) -> Result<()> {
    let good = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'-' | b'_' | b'.');
    if namespace.is_empty() || namespace.len() > 63 || namespace.starts_with('.') || !namespace.bytes().all(good) {
        return Err(Fault::invalid("namespace", format!("{namespace:?} is no namespace name")));
    }
    Ok(())
}
