//! `linux.namespaces`: which are the pod's, the host's, the container's own.

use super::{Builder, Inputs, Origin};
use crate::sandbox::NamespaceMode;
use plimsoll_fault::{Fault, Result};
use serde_json::json;

pub(super) fn set(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    own(spec, "mount", Origin::default("namespaces"))?;
    if inputs.host.cgroup_unified && !inputs.config.security.privileged {
        own(spec, "cgroup", Origin::default("namespaces"))?;
    }
    let pod = &inputs.sandbox.security.namespaces;
    if let Some(netns) = inputs.netns {
        join(spec, "network", &netns.to_string_lossy(), Origin::request("sandbox.security.namespaces.network"))?;
        // A pod on the host's network has the host's name too, as with the other CRI runtimes.
        let uts = inputs.ns_dir.join("uts");
        join(spec, "uts", &uts.to_string_lossy(), Origin::request("sandbox.security.namespaces.network"))?;
    }
    if pod.ipc != NamespaceMode::Node {
        let ipc = inputs.ns_dir.join("ipc");
        join(spec, "ipc", &ipc.to_string_lossy(), Origin::request("sandbox.security.namespaces.ipc"))?;
    }
    pid(spec, inputs)
}

fn pid(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let origin = Origin::request("container.security.namespaces.pid");
    match inputs.config.security.namespaces.pid {
        NamespaceMode::Container => own(spec, "pid", origin),
        NamespaceMode::Pod => {
            let pid = inputs.ns_dir.join("pid");
            join(spec, "pid", &pid.to_string_lossy(), origin)
        }
        NamespaceMode::Node => Ok(()),
        NamespaceMode::Target => {
            let Some(target) = inputs.target_pid else {
                return Err(Fault::invalid("assemble", "the target container does not run")
                    .detail(|d| d.pointer = Some("/linux/namespaces".into())));
            };
            join(spec, "pid", &format!("/proc/{target}/ns/pid"), origin)
        }
    }
}

fn own(spec: &mut Builder, kind: &str, origin: Origin) -> Result<()> {
    spec.put("/linux/namespaces", kind, json!({"type": kind}), origin)
}

fn join(spec: &mut Builder, kind: &str, path: &str, origin: Origin) -> Result<()> {
    spec.put("/linux/namespaces", kind, json!({"type": kind, "path": path}), origin)
}
