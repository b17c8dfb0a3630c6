//! `linux.namespaces`: which are the pod's, the host's, the container's own.

use super::{Builder, Inputs, Origin};
use crate::sandbox::NamespaceMode;
use plimsoll_fault::{Fault, Result};
use serde_json::json;

pub(super) fn set(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    within_the_pod(inputs)?;
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

/// A container has its pod's namespaces and rights; what asks for more is refused, not silently given less.
fn within_the_pod(inputs: &Inputs<'_>) -> Result<()> {
    let refuse = |field: &str, what: &str| Err(Fault::invalid("assemble", format!("container field {field}: {what}")));
    let (pod, own) = (&inputs.sandbox.security, &inputs.config.security);
    for (name, pod, own) in [
        ("network", pod.namespaces.network, own.namespaces.network),
        ("ipc", pod.namespaces.ipc, own.namespaces.ipc),
        ("pid", pod.namespaces.pid, own.namespaces.pid),
    ] {
        if own == NamespaceMode::Node && pod != NamespaceMode::Node {
            return refuse(&format!("namespaces.{name}"), "is the host's, but the pod has its own");
        }
    }
    if own.namespaces.user.as_ref().is_some_and(|user| user.mode == NamespaceMode::Pod) {
        return refuse("namespaces.user", "the pod has no user namespace");
    }
    if own.privileged && !pod.privileged {
        return refuse("privileged", "the pod is not privileged");
    }
    Ok(())
}

fn pid(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let origin = Origin::request("container.security.namespaces.pid");
    match inputs.config.security.namespaces.pid {
        NamespaceMode::Container => own(spec, "pid", origin),
        NamespaceMode::Pod => {
            match inputs.sandbox.security.namespaces.pid {
                NamespaceMode::Pod => {}
                // "The pod's" is the host's there.
                NamespaceMode::Node => return Ok(()),
                NamespaceMode::Container | NamespaceMode::Target => {
                    let what = "container field namespaces.pid: is POD, but the pod was made without a shared one";
                    return Err(Fault::invalid("assemble", what));
                }
            }
            let pid = inputs.ns_dir.join("pid");
            join(spec, "pid", &pid.to_string_lossy(), origin)
        }
        NamespaceMode::Node => Ok(()),
        NamespaceMode::Target => {
            let Some(target) = &inputs.target_pids else {
                return Err(Fault::invalid("assemble", "the target container does not run")
                    .detail(|d| d.pointer = Some("/linux/namespaces".into())));
            };
            join(spec, "pid", &target.to_string_lossy(), origin)
        }
    }
}

fn own(spec: &mut Builder, kind: &str, origin: Origin) -> Result<()> {
    spec.put("/linux/namespaces", kind, json!({"type": kind}), origin)
}

fn join(spec: &mut Builder, kind: &str, path: &str, origin: Origin) -> Result<()> {
    spec.put("/linux/namespaces", kind, json!({"type": kind, "path": path}), origin)
}
