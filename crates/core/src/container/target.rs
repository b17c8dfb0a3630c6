//! A container that joins another's PID namespace (CRI's TARGET). The other is named by its id and looked up when the
//! container starts: a pid that was written down earlier may by then be a foreign process's.

use crate::sandbox::NamespaceMode;
use crate::shim::ProcessStatus;
use crate::state::{ContainerPhase, ContainerRecord, blocking};
use crate::{Core, paths, shims, task};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::fs::File;

/// The container `id`, if it runs in this sandbox.
pub(super) fn running(core: &Core, namespace: &str, sandbox: &str, id: &str) -> Option<ContainerRecord> {
    let record = core.containers().find(namespace, id)?;
    (record.sandbox == sandbox && record.phase == ContainerPhase::Running).then_some(record)
}

/// Pins the target's PID namespace where the container's spec says that it is; [`unpin`] after the start. Nothing for a
/// container without a target.
pub(super) async fn pin(core: &Core, namespace: &str, id: &str, record: &ContainerRecord) -> Result<()> {
    let modes = &record.config.security.namespaces;
    if modes.pid != NamespaceMode::Target {
        return Ok(());
    }
    let target = &modes.target_id;
    let ended = || {
        let what = format!("container {target}, whose PID namespace is to be joined, does not run");
        Fault::new(Layer::Caller, "start", what)
            .kind(Kind::FailedPrecondition)
            .detail(|d| d.pointer = Some("/linux/namespaces".into()))
    };
    let pid = running(core, namespace, &record.sandbox, target).ok_or_else(ended)?.pid;
    let opened = File::open(format!("/proc/{pid}/ns/pid")).map_err(|e| ended().because(&e))?;
    // Opened first, asked second: the shim is the parent and reaps it, so what runs with this pid by its word now had
    // the pid when the file was opened.
    let shim = shims::of(core, namespace, &record.sandbox).await?;
    match shim.state(target, "").await {
        Err(fault) if fault.class() == Kind::NotFound => Err(ended()),
        Err(fault) => Err(fault),
        Ok(state) if state.pid != pid || matches!(state.status, ProcessStatus::Stopped) => Err(ended()),
        Ok(_) => {
            let bundle = paths::bundle(&core.config().state, namespace, id);
            blocking(move || task::pin_pids(&bundle, &opened)).await
        }
    }
}

/// The container has its namespace, or has failed. What stays pinned is taken away with the bundle.
pub(super) async fn unpin(core: &Core, namespace: &str, id: &str, record: &ContainerRecord) {
    if record.config.security.namespaces.pid != NamespaceMode::Target {
        return;
    }
    let bundle = paths::bundle(&core.config().state, namespace, id);
    if let Err(fault) = blocking(move || task::unpin_pids(&bundle)).await {
        tracing::warn!(container = id, %fault, "a PID namespace stays pinned until the container is removed");
    }
}
