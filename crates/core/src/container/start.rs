//! StartContainer: the OCI create and start.

use super::exit::{self, Followed};
use super::resolve::known;
use super::settle::{self, settle};
use crate::config::Handler;
use crate::operations::Stage;
use crate::shim::Stdio;
use crate::state::{ContainerPhase, ContainerRecord, SandboxPhase, blocking};
use crate::task::{self, NotStarted};
use crate::{Core, paths, shims};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::time::Duration;

/// How long the caller of a start that failed waits for its undoing, which goes on after that.
const UNDOING: Duration = Duration::from_secs(5);

/// Starts a created container.
pub async fn start(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let (id, _) = known(core, namespace, id)?;
    let key = key(namespace, &id);
    let (owned, ns) = (core.clone(), namespace.to_owned());
    core.doing().join(&key, |stage| async move { steps(owned, ns, id, stage).await }).await
}

/// The operation of starting a container.
pub(super) fn key(namespace: &str, id: &str) -> String {
    format!("start {namespace} {id}")
}

async fn steps(core: Core, namespace: String, id: String, stage: Stage) -> Result<()> {
    let (id, mut record) = known(&core, &namespace, &id)?;
    // No other start of this daemon is under way: this is the one.
    if record.phase == ContainerPhase::Starting {
        stage.enter("settle");
        settle(&core, &namespace, &id).await?;
        (_, record) = known(&core, &namespace, &id)?;
        if record.phase == ContainerPhase::Running {
            return Ok(());
        }
    }
    check(&core, &namespace, &id, &record)?;
    let Some(followed) = Followed::register(&core, &namespace, &id) else {
        return Err(refused(&id, format!("container {id} is on its way already")));
    };
    stage.enter("record");
    claim(&core, &namespace, &id).await?;
    stage.enter("runtime");
    match launch(&core, &namespace, &id, &record).await {
        Ok(pid) => followed.runs(pid).await,
        Err(NotStarted { fault, undone }) => {
            drop(followed);
            let fault = fault.in_container(&id).in_pod(&record.sandbox);
            if undone {
                exit::not_started(&core, &namespace, &id, &fault).await?;
                return Err(fault);
            }
            stage.enter("undo");
            Err(undo(&core, &namespace, &id, fault).await?)
        }
    }
}

/// The shim may have made the container, or make it yet: it stays `Starting` until the shim has said that nothing runs.
async fn undo(core: &Core, namespace: &str, id: &str, fault: Fault) -> Result<Fault> {
    settle::doom(core, namespace, id, &fault).await?;
    Ok(match tokio::time::timeout(UNDOING, settle(core, namespace, id)).await {
        Ok(Ok(())) => fault,
        Ok(Err(second)) => fault.why(second.to_string()),
        Err(_late) => fault.why("it is undone once the shim answers"),
    })
}

/// From created to starting, in one write: a stop or removal at the same moment comes before or after it.
async fn claim(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let (sender, claimed) = std::sync::mpsc::sync_channel(1);
    let starting = move |record: &mut ContainerRecord| {
        let mine = record.phase == ContainerPhase::Created;
        if mine {
            record.phase = ContainerPhase::Starting;
        }
        // The receiver lives until the write is done.
        sender.send(mine).ok();
        None
    };
    core.containers().update(namespace, id, starting).await?;
    match claimed.try_recv() {
        Ok(true) => Ok(()),
        _ => Err(refused(id, format!("container {id} was stopped or removed before it started"))),
    }
}

fn refused(id: &str, what: String) -> Fault {
    Fault::new(Layer::Caller, "start", what).kind(Kind::FailedPrecondition).in_container(id)
}

fn check(core: &Core, namespace: &str, id: &str, record: &ContainerRecord) -> Result<()> {
    let refuse = |what: String| Err(refused(id, what));
    if record.phase != ContainerPhase::Created {
        return refuse(format!("container {id} is {:?}, not created", record.phase).to_lowercase());
    }
    let sandbox = core.sandboxes().find(namespace, &record.sandbox);
    match sandbox.map(|sandbox| sandbox.phase) {
        Some(SandboxPhase::Ready) => Ok(()),
        _ => refuse(format!("sandbox {} is not ready", record.sandbox)),
    }
}

async fn launch(
    core: &Core,
    namespace: &str,
    id: &str,
    record: &ContainerRecord,
) -> std::result::Result<u32, NotStarted> {
    let config = core.config();
    let shim = shims::of(core, namespace, &record.sandbox).await?;
    let sandbox = core.sandboxes().find(namespace, &record.sandbox);
    let (name, handler) = core.handler(&sandbox.map(|s| s.handler).unwrap_or_default())?;
    let snapshotter = core.images().snapshotter(namespace)?;
    let key = id.to_owned();
    let rootfs = blocking(move || snapshotter.mounts(&key)).await?;
    let options = shims::task_options(core, &name, &handler, namespace);
    let new = task::NewTask {
        id,
        bundle: &paths::bundle(&config.state, namespace, id),
        rootfs: &rootfs,
        stdio: &stdio(core, &handler, record)?,
        options: &options,
    };
    super::target::pin(core, namespace, id, record).await?;
    let started = task::start(&shim, new).await;
    super::target::unpin(core, namespace, id, record).await;
    started
}

/// Both streams go to one CRI log.
fn stdio(core: &Core, handler: &Handler, record: &ContainerRecord) -> Result<Stdio> {
    if record.log_path.is_empty() {
        return Ok(Stdio { terminal: record.config.tty, ..Stdio::default() });
    }
    if let Some(folder) = std::path::Path::new(&record.log_path).parent() {
        std::fs::create_dir_all(folder).map_err(|e| {
            Fault::new(Layer::Store, "start", format!("cannot make the log folder {}", folder.display())).because(&e)
        })?;
    }
    // A foreign shim runs ours to write the log: then the daemon is between the two in neither case.
    let log = match handler.foreign {
        false => format!("cri-log://{}", record.log_path),
        true => format!("binary://{}?cri-log={}", core.config().own_shim.display(), escaped(&record.log_path)),
    };
    Ok(Stdio { stdin: String::new(), stdout: log.clone(), stderr: log, terminal: record.config.tty })
}

/// A path as a value of a URI's query.
fn escaped(path: &str) -> String {
    let plain = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'/' | b'-' | b'_' | b'.');
    let one = |byte: u8| if plain(byte) { char::from(byte).to_string() } else { format!("%{byte:02X}") };
    path.bytes().map(one).collect()
}
