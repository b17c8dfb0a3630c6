//! StopPodSandbox: containers, then the network, then the shim.

use super::resolve;
use crate::config::Controller;
use crate::events::{Event, Topic};
use crate::operations::Stage;
use crate::state::{SandboxPhase, SandboxRecord};
use crate::{Core, container, shims};
use plimsoll_fault::{Kind, Result};
use plimsoll_net::netns;
use std::time::Duration;

/// Stops a sandbox and its containers. Unknown or stopped sandboxes are not an error.
pub async fn stop(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let Some((id, _)) = resolve(core, namespace, id)? else { return Ok(()) };
    halt(core, namespace, &id).await
}

/// Joins a stop that is under way. Whatever was done before a failure need not be done again.
pub(super) async fn halt(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let (owned, ns, sid) = (core.clone(), namespace.to_owned(), id.to_owned());
    let key = format!("stop-sandbox {namespace} {id}");
    core.doing().join(&key, |stage| async move { steps(owned, ns, sid, stage).await }).await
}

async fn steps(core: Core, namespace: String, id: String, stage: Stage) -> Result<()> {
    let Some(record) = core.sandboxes().find(&namespace, &id) else { return Ok(()) };
    stage.enter("containers");
    for (container, _) in container::of_sandbox(&core, &namespace, &id) {
        container::stop(&core, &namespace, &container, Duration::ZERO).await?;
    }
    stage.enter("network");
    core.network().teardown(&id).await.map_err(|fault| fault.in_pod(&id))?;
    if let Some(path) = record.netns.clone() {
        netns::remove(path).await.map_err(|fault| fault.in_pod(&id))?;
    }
    stage.enter("record");
    let (ns, sid) = (namespace.clone(), id.clone());
    let mark = move |record: &mut SandboxRecord| {
        let was = std::mem::replace(&mut record.phase, SandboxPhase::NotReady);
        (was == SandboxPhase::Ready).then(|| Event::new(&ns, Topic::SandboxStopped).sandbox(&sid))
    };
    core.sandboxes().update(&namespace, &id, mark).await?;
    stage.enter("shim");
    shutdown(&core, &namespace, &id).await
}

/// Ends the shim, which unpins the pod's namespaces and ends its PID 1. A shim that is gone has ended, its pod may have not.
async fn shutdown(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let controller = core.sandboxes().find(namespace, id).map(|record| record.controller).unwrap_or_default();
    let asked = shims::ask(core, namespace, id, |shim| async move {
        match controller {
            Controller::Shim => shim.shutdown_sandbox(id).await,
            Controller::Container => super::container::end(&shim, id).await,
        }
    });
    let asked = asked.await;
    match asked {
        Ok(None) => shims::clean_up_sandbox(core, namespace, id).await.map_err(|fault| fault.in_pod(id))?,
        Err(fault) if fault.class() != Kind::NotFound => return Err(fault.in_pod(id)),
        Ok(Some(())) | Err(_) => {}
    }
    core.shims().forget(namespace, id);
    Ok(())
}
