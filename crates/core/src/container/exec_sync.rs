//! ExecSync: a command in a running container, its output and exit code.

use super::resolve::known;
use super::{ExecSyncOutput, ExecSyncRequest};
use crate::state::{ContainerPhase, blocking};
use crate::{Core, paths, shims, task};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use serde_json::{Value, json};
use std::path::PathBuf;

/// Runs `request.command` to its end or to the timeout; killed with the future. Output past 16 MiB of both streams together is dropped.
pub async fn exec_sync(core: &Core, request: ExecSyncRequest) -> Result<ExecSyncOutput> {
    let (id, record) = known(core, &request.namespace, &request.id)?;
    let refuse = |what: String, kind| Err(Fault::new(Layer::Caller, "exec", what).kind(kind).in_container(&id));
    if request.command.is_empty() {
        return refuse("the command is empty".into(), Kind::InvalidArgument);
    }
    if record.phase != ContainerPhase::Running {
        return refuse(format!("container {id} is not running"), Kind::FailedPrecondition);
    }
    let shim = shims::of(core, &request.namespace, &record.sandbox).await?;
    let bundle = paths::bundle(&core.config().state, &request.namespace, &id);
    let process = process(bundle.join("config.json"), request.command).await?;
    let exec_id = plimsoll_sys::host::random_id()
        .map_err(|e| Fault::new(Layer::Kernel, "exec", "no random numbers for an id").because(&e))?;
    let exec_id = &exec_id[..32];
    let folder = bundle.join(format!("exec-{exec_id}"));
    let bytes = process.to_string();
    let done = task::capture(&shim, &id, exec_id, bytes.as_bytes(), &folder, request.timeout).await;
    let done = done.map_err(|fault| fault.in_pod(&record.sandbox))?;
    let exit_code = i32::try_from(done.exit_code).unwrap_or(i32::MAX);
    Ok(ExecSyncOutput { stdout: done.stdout, stderr: done.stderr, exit_code })
}

/// The container's own `process` with another command: same user, rights, folder and variables.
async fn process(spec: PathBuf, command: Vec<String>) -> Result<Value> {
    blocking(move || {
        let fault = || Fault::new(Layer::Store, "exec", format!("cannot read {}", spec.display()));
        let text = std::fs::read(&spec).map_err(|e| fault().because(&e))?;
        let mut spec: Value = serde_json::from_slice(&text).map_err(|e| fault().because(&e))?;
        let mut process = spec["process"].take();
        process["args"] = json!(command);
        process["terminal"] = json!(false);
        Ok(process)
    })
    .await
}
