//! StopContainer: the stop signal, a grace period, then SIGKILL.

use super::resolve::resolve;
use crate::shim::Shim;
use crate::state::{ContainerPhase, ContainerRecord};
use crate::{Core, shims, task};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::time::Duration;

const KILL: u32 = 9;
/// How long the kernel may take to end what was killed: longer means a process in D state.
const DEATH: Duration = Duration::from_secs(60);
/// How long a start of an earlier daemon may take to be settled before it is ended.
const MOMENT: Duration = Duration::from_secs(2);

/// Stops a container. Unknown or exited containers are not an error. A zero grace period kills at once. A caller with a
/// shorter grace period than one that waits already does not wait longer than its own.
pub async fn stop(core: &Core, namespace: &str, id: &str, grace: Duration) -> Result<()> {
    let Some((id, _)) = resolve(core, namespace, id)? else { return Ok(()) };
    while let Some(record) = core.containers().find(namespace, &id) {
        match record.phase {
            ContainerPhase::Making | ContainerPhase::Exited | ContainerPhase::Unknown => return Ok(()),
            ContainerPhase::Created => never_start(core, namespace, &id).await?,
            ContainerPhase::Starting => started(core, namespace, &id).await?,
            ContainerPhase::Running => {
                let halted = halt(core, namespace, &id, &record, grace).await;
                return halted.map_err(|fault| fault.in_container(&id).in_pod(&record.sandbox));
            }
        }
    }
    Ok(())
}

async fn halt(core: &Core, namespace: &str, id: &str, record: &ContainerRecord, grace: Duration) -> Result<()> {
    // A follower that could not record the end is followed by another.
    super::follow(core, namespace, id);
    let Some(shim) = shims::reach(core, namespace, &record.sandbox).await? else {
        // The follower sees that too, cleans up and records what is known.
        return ended(core, namespace, id).await;
    };
    if !grace.is_zero() {
        let number = task::signal_number(&record.stop_signal).unwrap_or(15);
        send(&shim, id, number, false).await?;
        if tokio::time::timeout(grace, core.exits().ended(namespace, id)).await.is_ok() {
            return recorded(core, namespace, id);
        }
    }
    send(&shim, id, KILL, true).await?;
    ended(core, namespace, id).await
}

async fn ended(core: &Core, namespace: &str, id: &str) -> Result<()> {
    match tokio::time::timeout(DEATH, core.exits().ended(namespace, id)).await {
        Ok(()) => recorded(core, namespace, id),
        Err(_) => Err(Fault::new(Layer::Kernel, "stop", format!("container {id} has not ended after SIGKILL"))
            .kind(Kind::DeadlineExceeded)
            .hint("a process of it may be in an uninterruptible wait")),
    }
}

/// A container is stopped once its record says so.
fn recorded(core: &Core, namespace: &str, id: &str) -> Result<()> {
    match core.containers().find(namespace, id).is_some_and(|record| record.alive()) {
        false => Ok(()),
        true => Err(Fault::new(Layer::Store, "stop", format!("the end of container {id} could not be recorded"))
            .hint("the daemon's log says why")),
    }
}

/// Waits for a start that is under way. One that nobody does any more, and that is not known to have worked in a moment,
/// is ended, however far it got.
async fn started(core: &Core, namespace: &str, id: &str) -> Result<()> {
    if core.doing().over(&super::start::key(namespace, id)).await {
        return Ok(());
    }
    if let Ok(settled) = tokio::time::timeout(MOMENT, super::settle(core, namespace, id)).await {
        return settled;
    }
    let fault = Fault::new(Layer::Caller, "stop", "it was stopped before its start was known to have worked");
    let fault = fault.kind(Kind::Cancelled).in_container(id);
    super::settle::doom(core, namespace, id, &fault).await?;
    super::settle(core, namespace, id).await
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
