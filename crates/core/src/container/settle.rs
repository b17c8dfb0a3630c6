//! A start that nobody does any more: the daemon that did it has died, or could not write down how it went. The shim says
//! how far it got, and the record follows. Ends with a record that is no longer `Starting`, or with a fault.

use super::exit::{Followed, abandon};
use crate::shim::{self, ProcessStatus, Shim};
use crate::state::{ContainerPhase, ContainerRecord};
use crate::{Core, shims};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::time::{Duration, Instant};

/// How long the shim may still be at work on what the dead daemon asked, before the container is killed.
const AT_WORK: Duration = Duration::from_secs(10);
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
        let what = "the shim does not tell how far the start of an earlier daemon went";
        Err(Fault::new(Layer::Shim, "settle", what).kind(Kind::DeadlineExceeded).in_container(id))
    })
}

async fn steps(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let begun = Instant::now();
    let starting = |record: &ContainerRecord| record.phase == ContainerPhase::Starting;
    while let Some(record) = core.containers().find(namespace, id).filter(starting) {
        let Some(shim) = shims::alive(core, namespace, &record.sandbox).await else {
            return super::lost(core, namespace, id).await;
        };
        match look(&shim, id).await {
            Ok(Some(pid)) => {
                if let Some(followed) = Followed::register(core, namespace, id) {
                    return followed.runs(pid).await;
                }
            }
            Ok(None) => return back(core, namespace, id).await,
            Err(fault) if shim::silent(&fault) => tracing::warn!(container = id, %fault, "a start is not settled yet"),
            Err(fault) if begun.elapsed() > REFUSAL => return abandon(core, namespace, id, fault).await,
            Err(_) if begun.elapsed() > AT_WORK => kill(&shim, id).await,
            Err(_) => {}
        }
        tokio::time::sleep(shims::PAUSE).await;
    }
    Ok(())
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
    const QUICK: Duration = Duration::from_secs(10);
    const SIGKILL: u32 = 9;
    if let Err(fault) = shim.with_deadline(QUICK).kill(id, "", SIGKILL, true).await {
        tracing::debug!(container = id, %fault, "a container that was starting could not be killed");
    }
}

async fn back(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let change = |record: &mut ContainerRecord| {
        if record.phase == ContainerPhase::Starting {
            record.phase = ContainerPhase::Created;
        }
        None
    };
    core.containers().update(namespace, id, change).await.map(|_record| ())
}
