//! RemoveContainer: forgets a container and everything made for it.

use super::resolve::resolve;
use crate::events::{Event, Topic};
use crate::operations::Stage;
use crate::state::{ContainerRecord, blocking};
use crate::{Core, paths, shims, task};
use plimsoll_fault::{Kind, Result};
use std::time::{Duration, Instant};

/// How long the shim may be busy with a container that is to be deleted: its own limit of a delete.
const BUSY: Duration = Duration::from_secs(60);

/// Kills the container if it runs and removes it. An unknown container is not an error.
pub async fn remove(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let Some((id, _)) = resolve(core, namespace, id)? else { return Ok(()) };
    erase(core, namespace, &id).await
}

/// Removes a container in whatever phase it is.
pub(crate) async fn erase(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let (owned, ns, cid) = (core.clone(), namespace.to_owned(), id.to_owned());
    let key = format!("remove {namespace} {id}");
    core.doing().join(&key, |stage| async move { steps(owned, ns, cid, stage).await }).await
}

async fn steps(core: Core, namespace: String, id: String, stage: Stage) -> Result<()> {
    let Some(record) = core.containers().find(&namespace, &id) else { return Ok(()) };
    stage.enter("stop");
    super::stop(&core, &namespace, &id, Duration::ZERO).await?;
    stage.enter("task");
    task(&core, &namespace, &id, &record).await.map_err(|fault| fault.in_container(&id).in_pod(&record.sandbox))?;
    stage.enter("bundle");
    let bundle = paths::bundle(&core.config().state, &namespace, &id);
    blocking(move || task::remove_bundle(&bundle)).await?;
    stage.enter("snapshot");
    snapshot(&core, &namespace, &id).await?;
    let event = Event::new(&namespace, Topic::ContainerRemoved).sandbox(&record.sandbox).container(&id);
    core.containers().remove(&namespace, &id, Some(event)).await
}

/// What the shim may still keep, and what a shim that is gone has left: nobody has cleaned up after a start that it died in,
/// and the clean-up after its death may have failed.
async fn task(core: &Core, namespace: &str, id: &str, record: &ContainerRecord) -> Result<()> {
    let begun = Instant::now();
    loop {
        let asked = shims::ask(core, namespace, &record.sandbox, |shim| async move { shim.delete(id, "").await });
        match asked.await {
            Ok(None) => return shims::clean_up(core, namespace, &record.sandbox, id).await,
            Ok(_) => return Ok(()),
            Err(fault) if fault.class() == Kind::NotFound => return Ok(()),
            // It is being deleted already, dies at this moment, or runs though its record says that it has ended.
            Err(fault) if fault.class() == Kind::FailedPrecondition && begun.elapsed() < BUSY => {
                if let Some(shim) = shims::reach(core, namespace, &record.sandbox).await? {
                    super::settle::kill(&shim, id).await;
                }
                tokio::time::sleep(shims::PAUSE).await;
            }
            Err(fault) => return Err(fault),
        }
    }
}

/// Removes the container's own snapshot. One that is not there is not an error.
pub(super) async fn snapshot(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let snapshotter = core.images().snapshotter(namespace)?;
    let key = id.to_owned();
    match blocking(move || snapshotter.remove(&key)).await {
        Err(fault) if fault.class() != Kind::NotFound => Err(fault),
        _ => Ok(()),
    }
}
