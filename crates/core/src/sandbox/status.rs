//! PodSandboxStatus.

use super::list::view;
use super::{SandboxStatus, resolve};
use crate::config::Controller;
use crate::{Core, paths};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use serde_json::{Value, json};
use std::collections::BTreeMap;

/// The sandbox with this id or unique id prefix. `verbose` fills `info`.
pub async fn status(core: &Core, namespace: &str, id: &str, verbose: bool) -> Result<SandboxStatus> {
    let Some((id, record)) = resolve(core, namespace, id)? else {
        return Err(Fault::new(Layer::Caller, "lookup", format!("sandbox {id:?} is unknown")).kind(Kind::NotFound));
    };
    let mut info: BTreeMap<String, Value> = BTreeMap::new();
    if verbose {
        let dir = paths::sandbox_dir(&core.config().state, namespace, &id);
        let shim = core.shims().find(namespace, &id);
        let pid = match &shim {
            Some(shim) if record.controller == Controller::Shim => {
                shim.sandbox_status(&id, false).await.map(|state| state.pid).unwrap_or_default()
            }
            Some(shim) => shim.pid(&id).await.unwrap_or_default(),
            None => 0,
        };
        info.insert("pid".into(), json!(pid));
        info.insert("runtimeHandler".into(), json!(record.handler));
        info.insert("cgroupParent".into(), json!(record.cgroup_parent));
        info.insert("netns".into(), json!(record.netns));
        info.insert("shim".into(), json!({"address": record.shim_address, "connected": shim.is_some()}));
        info.insert("cni".into(), record.network.clone().unwrap_or(Value::Null));
        info.insert("folder".into(), json!(dir));
        info.insert("config".into(), json!(record.request.config));
        info.insert("fault".into(), json!(record.fault));
    }
    let ips = record.ips.clone();
    Ok(SandboxStatus { sandbox: view(id, record), ips, info })
}
