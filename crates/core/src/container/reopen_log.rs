//! ReopenContainerLog: after the log file was renamed.

use super::resolve::known;
use crate::state::ContainerPhase;
use crate::{Core, shims};
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// Makes the shim write to a new file at the log path. The container must run.
pub async fn reopen_log(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let (id, record) = known(core, namespace, id)?;
    if record.phase != ContainerPhase::Running {
        return Err(Fault::new(Layer::Caller, "reopen-log", format!("container {id} is not running"))
            .kind(Kind::FailedPrecondition)
            .in_container(&id));
    }
    // The program that writes the log of a foreign shim's container sees by itself that it was renamed.
    if shims::is_foreign(core, namespace, &record.sandbox) {
        return Ok(());
    }
    let shim = shims::of(core, namespace, &record.sandbox).await?;
    shim.reopen_log(&id).await.map_err(|fault| fault.in_container(&id).in_pod(&record.sandbox))
}
