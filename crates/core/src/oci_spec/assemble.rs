//! From a request, an image and this host to a `config.json`: one straight path through the parts.

use super::{Builder, Finished, Host, Origin, Resolved};
use super::{capabilities, devices, mounts, namespaces, process, resources, security, token};
use crate::config::{Controller, Handler};
use crate::container::ContainerConfig;
use crate::sandbox::SandboxConfig;
use plimsoll_fault::Result;
use plimsoll_spec::image::ContainerConfig as ImageProcess;
use std::path::{Path, PathBuf};

/// Everything a spec is made of. Nothing else is looked at, except the host paths that the request names.
pub struct Inputs<'a> {
    pub id: &'a str,
    pub sandbox_id: &'a str,
    pub sandbox: &'a SandboxConfig,
    pub config: &'a ContainerConfig,
    /// The image's `config`: untrusted.
    pub image: &'a ImageProcess,
    pub handler: &'a Handler,
    pub handler_name: &'a str,
    pub host: &'a Host,
    pub user: &'a Resolved,
    /// The pod's host name as its containers see it; empty with the host's network.
    pub hostname: &'a str,
    /// Folder of the pod's files and `shm`.
    pub sandbox_dir: &'a Path,
    /// Folder of the pod's pinned namespaces.
    pub ns_dir: &'a Path,
    /// `None` with the host's network.
    pub netns: Option<&'a Path>,
    /// Where the PID namespace of the target container is pinned when this one starts; `None`: no target runs.
    pub target_pids: Option<PathBuf>,
    pub cgroup_parent: &'a str,
    pub systemd_cgroup: bool,
    pub default_env: &'a [(String, String)],
    pub seccomp_by_default: bool,
}

/// What was asked for and could not be given in full; logged once by the caller.
pub type Warnings = Vec<String>;

/// Assembles the spec. Faults are of layer `spec` (or `caller`) and name the pointer.
pub fn assemble(inputs: &Inputs<'_>) -> Result<(Finished, Warnings)> {
    let mut spec = Builder::default();
    let mut warnings = Warnings::new();
    let version = &inputs.handler.features.oci_version;
    spec.set("/ociVersion", version, Origin::handler(inputs.handler_name, "features"))?;
    spec.set("/root/path", "rootfs", Origin::default("bundle"))?;
    let readonly = inputs.config.security.readonly_rootfs;
    spec.set("/root/readonly", readonly, Origin::request("container.security.readonly_rootfs"))?;
    process::set(&mut spec, inputs)?;
    let names = capabilities::set(&mut spec, &inputs.config.security, inputs.host)?;
    mounts::set(&mut spec, inputs)?;
    namespaces::set(&mut spec, inputs)?;
    devices::set(&mut spec, inputs)?;
    resources::set(&mut spec, inputs, &mut warnings)?;
    security::set(&mut spec, inputs, &names, &mut warnings)?;
    annotations(&mut spec, inputs)?;
    Ok((spec.finish()?, warnings))
}

/// Our own, and those of the pod that the handler's allow-list names exactly (CVE-2023-6476 was a prefix match).
fn annotations(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    // It says that there is a sandbox container too: where none is, a runtime that acts on it (runsc) would look for one.
    if inputs.handler.controller == Controller::Container || inputs.handler.runtime.is_none() {
        let pointer = format!("/annotations/{}", token("io.kubernetes.cri.container-type"));
        spec.set(&pointer, "container", Origin::default("annotations"))?;
    }
    let own = [
        ("io.kubernetes.cri.sandbox-id", inputs.sandbox_id, Origin::default("annotations")),
        ("io.kubernetes.cri.sandbox-name", &inputs.sandbox.metadata.name, Origin::request("sandbox.metadata.name")),
        (
            "io.kubernetes.cri.sandbox-namespace",
            &inputs.sandbox.metadata.namespace,
            Origin::request("sandbox.metadata.namespace"),
        ),
        ("io.kubernetes.cri.sandbox-uid", &inputs.sandbox.metadata.uid, Origin::request("sandbox.metadata.uid")),
        ("io.kubernetes.cri.container-name", &inputs.config.metadata.name, Origin::request("container.metadata.name")),
        ("io.kubernetes.cri.image-name", &inputs.config.image.image, Origin::request("container.image")),
    ];
    for (key, value, origin) in own {
        spec.set(&format!("/annotations/{}", token(key)), value, origin)?;
    }
    for key in &inputs.handler.annotations {
        let found = inputs.config.annotations.get(key).or_else(|| inputs.sandbox.annotations.get(key));
        if let Some(value) = found {
            let origin = Origin::request(format!("annotations[{key}], allowed by handler {}", inputs.handler_name));
            spec.set(&format!("/annotations/{}", token(key)), value, origin)?;
        }
    }
    Ok(())
}
