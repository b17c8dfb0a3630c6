//! ContainerStatus.

use super::ContainerStatus;
use super::list::view;
use super::resolve::known;
use crate::state::{ContainerRecord, blocking};
use crate::{Core, paths};
use plimsoll_fault::Result;
use serde_json::{Value, json};
use std::collections::BTreeMap;
use std::path::Path;

/// The container with this id or unique id prefix. `verbose` fills `info`.
pub async fn status(core: &Core, namespace: &str, id: &str, verbose: bool) -> Result<ContainerStatus> {
    let (id, record) = known(core, namespace, id)?;
    let info = if verbose { info(core, namespace, &id, &record).await? } else { BTreeMap::new() };
    Ok(ContainerStatus {
        container: view(id, &record),
        started_at: record.started_at,
        finished_at: record.finished_at,
        exit_code: record.exit_code,
        reason: record.reason,
        message: record.message,
        log_path: record.log_path,
        user: Some(record.user),
        stop_signal: record.stop_signal,
        fault: record.fault,
        info,
    })
}

async fn info(core: &Core, namespace: &str, id: &str, record: &ContainerRecord) -> Result<BTreeMap<String, Value>> {
    let bundle = paths::bundle(&core.config().state, namespace, id);
    let folder = bundle.clone();
    let (spec, provenance) =
        blocking(move || Ok((document(&folder.join("config.json")), document(&folder.join("provenance.json")))))
            .await?;
    let pairs = [
        ("sandboxID", json!(record.sandbox)),
        ("pid", json!(record.pid)),
        ("bundle", json!(bundle)),
        ("snapshotKey", json!(id)),
        ("snapshotParent", json!(record.parent)),
        ("cgroup", json!(record.cgroup)),
        ("config", json!(record.config)),
        ("runtimeSpec", spec),
        ("provenance", provenance),
        ("fault", json!(record.fault)),
    ];
    Ok(pairs.into_iter().map(|(key, value)| (key.to_owned(), value)).collect())
}

/// Our own file; null when it is gone with its bundle.
fn document(path: &Path) -> Value {
    let text = std::fs::read(path).unwrap_or_default();
    serde_json::from_slice(&text).unwrap_or(Value::Null)
}
