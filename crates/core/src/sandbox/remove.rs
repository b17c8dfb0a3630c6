//! RemovePodSandbox: forgets a sandbox and everything made for it.

use super::stop::halt;
use super::{files, resolve};
use crate::events::{Event, Topic};
use crate::operations::Stage;
use crate::state::blocking;
use crate::{Core, cgroups, container, paths, shims};
use plimsoll_fault::Result;

/// Stops what still runs and removes sandbox and containers. An unknown sandbox is not an error.
pub async fn remove(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let Some((id, _)) = resolve(core, namespace, id)? else { return Ok(()) };
    erase(core, namespace, &id).await
}

/// Removes a sandbox in whatever phase it is.
pub(crate) async fn erase(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let (owned, ns, sid) = (core.clone(), namespace.to_owned(), id.to_owned());
    let key = format!("remove-sandbox {namespace} {id}");
    core.doing().join(&key, |stage| async move { steps(owned, ns, sid, stage).await }).await
}

async fn steps(core: Core, namespace: String, id: String, stage: Stage) -> Result<()> {
    let Some(record) = core.sandboxes().find(&namespace, &id) else { return Ok(()) };
    stage.enter("stop");
    halt(&core, &namespace, &id).await?;
    stage.enter("containers");
    for (container, _) in container::of_sandbox(&core, &namespace, &id) {
        container::erase(&core, &namespace, &container).await?;
    }
    stage.enter("files");
    let dir = paths::sandbox_dir(&core.config().state, &namespace, &id);
    blocking(move || files::remove(&dir)).await?;
    core.shims().drop_reader(&namespace, &id);
    if let Some(address) = &record.shim_address {
        shims::remove_socket(&core, address)?;
    }
    let event = Event::new(&namespace, Topic::SandboxRemoved).sandbox(&id);
    core.sandboxes().remove(&namespace, &id, Some(event)).await?;
    // The parent is ours only when the request named none; other pods in it keep it.
    if record.request.config.cgroup_parent.is_empty() {
        blocking(move || {
            cgroups::remove_empty(&record.cgroup_parent);
            Ok(())
        })
        .await?;
    }
    Ok(())
}
