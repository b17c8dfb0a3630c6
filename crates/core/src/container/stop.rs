//! StopContainer: the stop signal, a grace period, then SIGKILL.

use super::resolve::resolve;
use crate::shim::Shim;
use crate::state::{ContainerPhase, ContainerRecord};
use crate::{Core, task};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::time::Duration;

const KILL: u32 = 9;
/// How long the kernel may take to end what was killed: longer means a process in D state.
const DEATH: Duration = Duration::from_secs(60);

/// Stops a container. Unknown or exited containers are not an error. A zero grace period kills at once. A caller with a
/// shorter grace period than one that waits already does not wait longer than its own.
pub async fn stop(core: &Core, namespace: &str, id: &str, grace: Duration) -> Result<()> {
    let Some((id, _)) = resolve(core, namespace, id)? else { return Ok(()) };
    while let Some(record) = core.containers().find(namespace, &id) {
        match record.phase {
            ContainerPhase::Making | ContainerPhase::Exited | ContainerPhase::Unknown => return Ok(()),
            ContainerPhase::Created => never_start(core, namespace, &id).await?,
            ContainerPhase::Starting => started(core, namespace, &id).await,
            ContainerPhase::Running => {
                let halted = halt(core, namespace, &id, &record, grace).await;
                return halted.map_err(|fault| fault.in_container(&id).in_pod(&record.sandbox));
            }
        }
    }
    Ok(())
}

async fn halt(core: &Core, namespace: &str, id: &str, record: &ContainerRecord, grace: Duration) -> Result<()> {
    let Some(shim) = core.shims().find(namespace, &record.sandbox) else {
        return super::lost(core, namespace, id).await;
    };
    if !grace.is_zero() {
        let number = task::signal_number(&record.stop_signal).unwrap_or(15);
        send(&shim, id, number, false).await?;
        if tokio::time::timeout(grace, core.exits().ended(namespace, id)).await.is_ok() {
            return Ok(());
        }
    }
    send(&shim, id, KILL, true).await?;
    match tokio::time::timeout(DEATH, core.exits().ended(namespace, id)).await {
        Ok(()) => Ok(()),
        Err(_) => Err(Fault::new(Layer::Kernel, "stop", format!("container {id} has not ended after SIGKILL"))
            .kind(Kind::DeadlineExceeded)
            .hint("a process of it may be in an uninterruptible wait")),
    }
}

/// Waits for a start that is under way.
async fn started(core: &Core, namespace: &str, id: &str) {
    if let Err(fault) = super::start(core, namespace, id).await {
        tracing::debug!(container = id, %fault, "the start before a stop failed");
        // A start that ended in the same moment has written its outcome when the caller looks again.
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}

/// A container that was never started is stopped by saying so.
async fn never_start(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let change = |record: &mut ContainerRecord| {
        if record.phase == ContainerPhase::Created {
            record.phase = ContainerPhase::Exited;
            record.finished_at = crate::clock::now();
            record.reason = "Completed".into();
        }
        None
    };
    core.containers().update(namespace, id, change).await.map(|_record| ())
}

/// A process that is gone needs no signal.
async fn send(shim: &Shim, id: &str, signal: u32, all: bool) -> Result<()> {
    match shim.kill(id, "", signal, all).await {
        Err(fault) if !matches!(fault.class(), Kind::NotFound | Kind::FailedPrecondition) => Err(fault),
        _ => Ok(()),
    }
}
