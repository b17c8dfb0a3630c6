//! The connected shims, one per sandbox, and the one judgement whether a shim is gone.

use crate::Core;
use crate::config::Handler;
use crate::paths;
use crate::shim::{self, Exit, Launch, Launcher, Shim, TaskOptions};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::collections::HashMap;
use std::os::unix::fs::FileTypeExt;
use std::path::Path;
use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;
use tokio::task::AbortHandle;

/// Between two attempts at a shim that could not be reached.
pub(crate) const PAUSE: Duration = Duration::from_millis(100);
/// How often a call is repeated whose connection broke under it.
const REPEATS: u32 = 3;
const ENOENT: i32 = 2;
const ECONNREFUSED: i32 = 111;

type Key = (String, String);

#[derive(Default)]
pub(crate) struct Shims {
    shims: Mutex<HashMap<Key, Shim>>,
    /// Of the logs of foreign ones.
    readers: Mutex<HashMap<Key, AbortHandle>>,
}

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

    fn table(&self) -> MutexGuard<'_, HashMap<Key, Shim>> {
        // The table is whole after each statement, so a panic elsewhere leaves it usable.
        self.shims.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn keep_reader(&self, namespace: &str, sandbox: &str, reader: AbortHandle) {
        self.readers().insert((namespace.to_owned(), sandbox.to_owned()), reader);
    }

    pub(crate) fn drop_reader(&self, namespace: &str, sandbox: &str) {
        let reader = self.readers().remove(&(namespace.to_owned(), sandbox.to_owned()));
        reader.iter().for_each(AbortHandle::abort);
    }

    fn readers(&self) -> MutexGuard<'_, HashMap<Key, AbortHandle>> {
        self.readers.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// How the shims of a handler are started.
pub(crate) fn launcher(core: &Core, handler: &Handler) -> Launcher {
    let config = core.config();
    Launcher {
        binary: handler.shim.clone(),
        socket_dir: (!handler.foreign).then(|| paths::socket_dir(&config.state)),
        daemon_socket: config.socket.clone(),
        parameters: handler.parameters,
        events: handler.foreign.then(|| paths::events_socket(&config.state)),
        debug: false,
        deadline: config.timeouts.shim_start,
    }
}

/// What the shim of a handler is told of its OCI runtime.
pub(crate) fn task_options(core: &Core, name: &str, handler: &Handler, namespace: &str) -> TaskOptions {
    let config = core.config();
    let root = match (&handler.runtime, handler.foreign) {
        (None, false) => paths::runtime_root(&config.state, namespace),
        // A foreign shim adds the namespace itself.
        (_, true) => paths::program_root(&config.state, name, ""),
        (Some(_), false) => paths::program_root(&config.state, name, namespace),
    };
    TaskOptions {
        root: root.to_string_lossy().into_owned(),
        binary_name: handler.runtime.as_ref().map(|path| path.to_string_lossy().into_owned()).unwrap_or_default(),
        systemd_cgroup: config.systemd_cgroup,
        no_pivot_root: false,
    }
}

/// Whether the sandbox's shim is somebody else's. One whose handler is not in the config any more is taken for ours.
pub(crate) fn is_foreign(core: &Core, namespace: &str, sandbox: &str) -> bool {
    let record = core.sandboxes().find(namespace, sandbox);
    record.and_then(|record| core.handler(&record.handler).ok()).is_some_and(|(_, handler)| handler.foreign)
}

/// Passes on what a foreign shim logs, until the sandbox is removed.
pub(crate) fn follow_log(core: &Core, namespace: &str, id: &str) -> Result<()> {
    if is_foreign(core, namespace, id) {
        let reader = shim::follow_log(&paths::sandbox_dir(&core.config().state, namespace, id), id)?;
        core.shims().keep_reader(namespace, id, reader);
    }
    Ok(())
}

/// Whether a failed connection says that the shim is gone: nobody listens at its address. No other failure says so. A
/// shim that does not answer, whose backlog is full, or that we lack a descriptor for is slow or out of our reach, and its
/// containers are well.
pub(crate) fn gone(fault: &Fault) -> bool {
    let detail = fault.details();
    detail.syscall.as_deref() == Some("connect") && matches!(detail.errno, Some(ENOENT | ECONNREFUSED))
}

/// The sandbox's shim, over a new connection when the last one has ended. `None`: it is [`gone`].
pub(crate) async fn reach(core: &Core, namespace: &str, sandbox: &str) -> Result<Option<Shim>> {
    if let Some(shim) = core.shims().find(namespace, sandbox).filter(Shim::is_open) {
        return Ok(Some(shim));
    }
    let record = core.sandboxes().find(namespace, sandbox).filter(|record| record.boot == core.boot());
    let Some((address, version)) = record.and_then(|record| Some((record.shim_address?, record.shim_version))) else {
        return Ok(None);
    };
    match Shim::connect_as(&address, version).await {
        Ok(shim) => {
            let shim = shim.with_deadline(core.config().timeouts.shim_work);
            core.shims().keep(namespace, sandbox, shim.clone());
            Ok(Some(shim))
        }
        Err(fault) if gone(&fault) => Ok(None),
        Err(fault) => Err(fault.in_pod(sandbox)),
    }
}

/// The same, tried until it is decided.
pub(crate) async fn alive(core: &Core, namespace: &str, sandbox: &str) -> Option<Shim> {
    let mut told = false;
    loop {
        match reach(core, namespace, sandbox).await {
            Ok(shim) => return shim,
            Err(fault) if !told => tracing::warn!(sandbox, %fault, "a shim cannot be reached yet"),
            Err(_) => {}
        }
        told = true;
        tokio::time::sleep(PAUSE).await;
    }
}

/// The shim of a sandbox, or the fault that it is gone.
pub(crate) async fn of(core: &Core, namespace: &str, sandbox: &str) -> Result<Shim> {
    reach(core, namespace, sandbox).await?.ok_or_else(|| {
        Fault::new(Layer::Shim, "connect", "the pod's shim is gone").kind(Kind::Unavailable).in_pod(sandbox)
    })
}

/// Asks the sandbox's shim, anew when the connection broke under the call. `None`: it is [`gone`].
pub(crate) async fn ask<T, F>(
    core: &Core,
    namespace: &str,
    sandbox: &str,
    question: impl Fn(Shim) -> F,
) -> Result<Option<T>>
where
    F: Future<Output = Result<T>>,
{
    let mut repeats = 0;
    loop {
        let Some(shim) = reach(core, namespace, sandbox).await? else { return Ok(None) };
        match question(shim.clone()).await {
            Err(_) if !shim.is_open() && repeats < REPEATS => {
                repeats += 1;
                tokio::time::sleep(PAUSE).await;
            }
            answer => return answer.map(Some),
        }
    }
}

/// Removes the socket file of a shim that is gone. One that is not there is no error; where a foreign shim said that its socket is,
/// nothing else is removed.
pub(crate) fn remove_socket(core: &Core, address: &str) -> Result<()> {
    let path = Path::new(address.strip_prefix("unix://").unwrap_or(address));
    let ours = path.parent() == Some(paths::socket_dir(&core.config().state).as_path());
    if !ours && !std::fs::symlink_metadata(path).is_ok_and(|file| file.file_type().is_socket()) {
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
/// The file in a sandbox's folder in which our shim writes down the PID 1 of a pod that has one.
const SANDBOX_FILE: &str = "plimsoll-sandbox.json";

/// Runs the shim program's `delete` for a container whose shim is gone: ends its processes and removes its cgroup and
/// mounts. Returns the exit if the shim had written it down. Nothing is done for a container of which nothing is left.
pub(crate) async fn clean_up_after(core: &Core, namespace: &str, sandbox: &str, id: &str) -> Result<Option<Exit>> {
    let state = &core.config().state;
    let (bundle, root) = (paths::bundle(state, namespace, id), paths::runtime_root(state, namespace));
    // The runtime may know a container whose bundle is gone.
    let folder = if bundle.exists() { bundle.clone() } else { root.join(id) };
    if !folder.exists() {
        return Ok(None);
    }
    let known = bundle.join(EXIT_FILE).exists();
    let launch = Launch { namespace, id, bundle: &folder };
    let launcher = cleaner(core, namespace, sandbox)?;
    // Only ours knows of it.
    let root = launcher.socket_dir.is_some().then_some(root.as_path());
    let exit = launcher.cleanup(launch, root).await?;
    Ok(known.then_some(exit))
}

/// The same on removal, when how it ended does not matter: only for a container that the runtime still knows.
pub(crate) async fn clean_up(core: &Core, namespace: &str, sandbox: &str, id: &str) -> Result<()> {
    // The folder of the linked runtime is made before and removed after everything else of a container.
    let state = &core.config().state;
    let known = paths::runtime_root(state, namespace).join(id).exists();
    let bundle = paths::bundle(state, namespace, id);
    // What a foreign shim's runtime knows is not to be seen.
    let foreign = bundle.exists() && is_foreign(core, namespace, sandbox);
    if known || foreign || paths::is_kept(&bundle) {
        clean_up_after(core, namespace, sandbox, id).await?;
    }
    Ok(())
}

/// Ends the PID 1 of a pod whose shim is gone, and with it every process of the pod's PID namespace; or the container that is
/// the sandbox.
pub(crate) async fn clean_up_sandbox(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let folder = paths::sandbox_dir(&core.config().state, namespace, id);
    if !folder.join(SANDBOX_FILE).exists() && !folder.join("config.json").exists() {
        return Ok(());
    }
    let launch = Launch { namespace, id, bundle: &folder };
    cleaner(core, namespace, id)?.cleanup(launch, None).await.map(|_exit| ())
}

/// The shim program of a sandbox; the default one when nobody knows the sandbox, or its handler, any more.
fn cleaner(core: &Core, namespace: &str, sandbox: &str) -> Result<Launcher> {
    let handler = core.sandboxes().find(namespace, sandbox).map(|record| record.handler).unwrap_or_default();
    let (_, handler) = core.handler(&handler).or_else(|_unknown| core.handler(""))?;
    Ok(launcher(core, &handler))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn only_a_shim_that_nobody_listens_for_is_gone() {
        let folder = tempfile::tempdir().expect("a folder");
        let at = |name: &str| folder.path().join(name);
        let connect = async |name: &str| Shim::connect(&at(name).to_string_lossy()).await.expect_err(name);
        assert!(gone(&connect("missing").await));
        drop(std::os::unix::net::UnixListener::bind(at("left")).expect("bound"));
        assert!(gone(&connect("left").await), "the socket of a dead shim");

        let full = std::os::unix::net::UnixListener::bind(at("full")).expect("bound");
        rustix::net::listen(&full, 0).expect("a backlog of one");
        let _first = Shim::connect(&at("full").to_string_lossy()).await.expect("in the backlog");
        let busy = connect("full").await;
        assert!(!gone(&busy), "{busy}");
    }
}
