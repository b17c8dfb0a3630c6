//! A start that nobody does any more: the daemon that did it has died, or the shim did not answer it. The shim says how
//! far it got, and the record follows. A record that is `Starting` with a fault is doomed: the start is known to have
//! failed, or somebody wants the container stopped, so what the shim made of it is killed. One without a fault is left to
//! the shim, which may be at work on its hooks. Ends with a record that is no longer `Starting`, or with a fault.

use super::exit::{Followed, abandon, lost, not_started};
use crate::shim::{self, ProcessStatus, Shim};
use crate::state::{ContainerPhase, ContainerRecord};
use crate::{Core, shims};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::time::{Duration, Instant};

/// How long the shim may take to kill, or to delete what is dead.
const QUICK: Duration = Duration::from_secs(10);
/// How long a shim that answers may refuse to delete the container, before it is ended without the shim. Longer than the
/// shim gives its longest worker (a create with its hooks: 120 s), so that nothing is being made any more by then.
const REFUSAL: Duration = Duration::from_secs(150);
/// How long a caller waits for the outcome. A shim that is silent is waited for all the same: it is slow, not gone.
const PATIENCE: Duration = Duration::from_secs(160);

/// Settles a container that is recorded as starting and that no start of this daemon is at work on.
pub(crate) async fn settle(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let key = format!("settle {namespace} {id}");
    let (owned, ns, cid) = (core.clone(), namespace.to_owned(), id.to_owned());
    let settled = core.doing().join(&key, |_stage| async move { steps(&owned, &ns, &cid).await });
    tokio::time::timeout(PATIENCE, settled).await.unwrap_or_else(|_late| {
        let what = "the shim does not tell how far an earlier start went";
        Err(Fault::new(Layer::Shim, "settle", what).kind(Kind::DeadlineExceeded).in_container(id))
    })
}

async fn steps(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let begun = Instant::now();
    let starting = |record: &ContainerRecord| record.phase == ContainerPhase::Starting;
    while let Some(record) = core.containers().find(namespace, id).filter(starting) {
        let Some(shim) = shims::alive(core, namespace, &record.sandbox).await else {
            return gone(core, namespace, id, record).await;
        };
        let told = if record.fault.is_some() { end(&shim, id).await } else { look(&shim, id).await };
        match told {
            Ok(Some(pid)) => {
                if let Some(followed) = Followed::register(core, namespace, id) {
                    return followed.runs(pid).await;
                }
            }
            // Doomed in this moment, it stays `Starting` for another round.
            Ok(None) => match record.fault {
                Some(fault) => return not_started(core, namespace, id, &fault).await,
                None => back(core, namespace, id).await?,
            },
            Err(fault) if shim::silent(&fault) => tracing::warn!(container = id, %fault, "a start is not settled yet"),
            Err(fault) if begun.elapsed() > REFUSAL => return abandon(core, namespace, id, fault).await,
            Err(_) => {}
        }
        tokio::time::sleep(shims::PAUSE).await;
    }
    Ok(())
}

/// Dooms a container that is starting, for the reason of `fault`. One that is doomed already keeps its reason.
pub(super) async fn doom(core: &Core, namespace: &str, id: &str, fault: &Fault) -> Result<()> {
    let fault = fault.clone();
    let change = move |record: &mut ContainerRecord| {
        if record.phase == ContainerPhase::Starting && record.fault.is_none() {
            record.message = fault.to_string();
            record.fault = Some(fault.clone());
        }
        None
    };
    core.containers().update(namespace, id, change).await.map(|_record| ())
}

/// There is no shim: its program ends what it left.
async fn gone(core: &Core, namespace: &str, id: &str, record: ContainerRecord) -> Result<()> {
    let Some(fault) = record.fault else { return lost(core, namespace, id).await };
    match shims::clean_up_after(core, namespace, &record.sandbox, id).await {
        Ok(_exit) => not_started(core, namespace, id, &fault).await,
        Err(second) => abandon(core, namespace, id, fault.why(second.to_string())).await,
    }
}

/// Kills what the shim made of it. `None`: nothing of it runs, nor will. A fault: not yet.
async fn end(shim: &Shim, id: &str) -> Result<Option<u32>> {
    kill(shim, id).await;
    match shim.state(id, "").await {
        Err(fault) if fault.class() == Kind::NotFound => return Ok(None),
        Ok(state) if state.status == ProcessStatus::Stopped => {}
        Ok(_) => return Err(Fault::new(Layer::Shim, "settle", "the shim has not ended the container").in_container(id)),
        Err(fault) => return Err(fault),
    }
    // What cannot be deleted is dead all the same, and deleted again when the container is removed.
    if let Err(fault) = shim.with_deadline(QUICK).delete(id, "").await {
        tracing::warn!(container = id, %fault, "a container whose start failed could not be deleted");
    }
    Ok(None)
}

/// The pid of a container that was started, also if it has ended since. One that was only made is deleted, so that the
/// retried start finds none. A fault: the shim is at work on it, or cannot delete it.
async fn look(shim: &Shim, id: &str) -> Result<Option<u32>> {
    let unknown = |fault: &Fault| fault.class() == Kind::NotFound;
    match shim.state(id, "").await {
        Ok(state) if !matches!(state.status, ProcessStatus::Created | ProcessStatus::Unknown) => Ok(Some(state.pid)),
        Err(fault) if !unknown(&fault) => Err(fault),
        Err(_) => Ok(None),
        Ok(_) => match shim.delete(id, "").await {
            Err(fault) if !unknown(&fault) => Err(fault),
            _ => Ok(None),
        },
    }
}

/// Through the shim, which is the parent of what it kills. What has ended already needs no signal.
pub(super) async fn kill(shim: &Shim, id: &str) {
    const SIGKILL: u32 = 9;
    if let Err(fault) = shim.with_deadline(QUICK).kill(id, "", SIGKILL, true).await {
        tracing::debug!(container = id, %fault, "a container that was starting could not be killed");
    }
}

async fn back(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let change = |record: &mut ContainerRecord| {
        if record.phase == ContainerPhase::Starting && record.fault.is_none() {
            record.phase = ContainerPhase::Created;
        }
        None
    };
    core.containers().update(namespace, id, change).await.map(|_record| ())
}
