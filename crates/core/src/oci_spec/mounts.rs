//! `mounts`: the default ones, the pod's files, and what the request asks for.

use super::{Builder, Inputs, Origin};
use crate::container::{Mount, Propagation};
use crate::sandbox::NamespaceMode;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use serde_json::json;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Component, Path, PathBuf};

const LIST: &str = "/mounts";

pub(super) fn set(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    defaults(spec, inputs)?;
    pod_files(spec, inputs)?;
    let mut propagation = "rprivate";
    for mount in &inputs.config.mounts {
        request(spec, mount, inputs)?;
        propagation = match (mount.propagation, propagation) {
            (Propagation::Bidirectional, _) => "rshared",
            (Propagation::HostToContainer, "rprivate") => "rslave",
            (_, kept) => kept,
        };
    }
    if propagation != "rprivate" {
        let origin = Origin::request("container.mounts[].propagation");
        spec.set("/linux/rootfsPropagation", propagation, origin)?;
    }
    // A mount may lie in another one; the outer comes first.
    spec.sort(LIST, |destination| Path::new(destination).components().count());
    Ok(())
}

fn defaults(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let privileged = inputs.config.security.privileged;
    let write = if privileged { "rw" } else { "ro" };
    let mut put = |destination: &str, kind: &str, source: &str, options: &[&str], origin: Origin| {
        let body = json!({"destination": destination, "type": kind, "source": source, "options": options});
        spec.put(LIST, destination, body, origin)
    };
    let origin = || Origin::default("mounts");
    let access = match privileged {
        true => Origin::request("container.security.privileged"),
        false => Origin::default("mounts"),
    };
    put("/proc", "proc", "proc", &["nosuid", "noexec", "nodev"], origin())?;
    put("/dev", "tmpfs", "tmpfs", &["nosuid", "strictatime", "mode=755", "size=65536k"], origin())?;
    let pts = ["nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"];
    put("/dev/pts", "devpts", "devpts", &pts, origin())?;
    put("/dev/mqueue", "mqueue", "mqueue", &["nosuid", "noexec", "nodev"], origin())?;
    put("/sys", "sysfs", "sysfs", &["nosuid", "noexec", "nodev", write], access.clone())?;
    put("/sys/fs/cgroup", "cgroup", "cgroup", &["nosuid", "noexec", "nodev", "relatime", write], access)
}

/// The files of the sandbox and its shared memory, unless the request mounts something at the same place.
fn pod_files(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let security = &inputs.config.security;
    let (write, origin) = match security.readonly_rootfs {
        true => ("ro", Origin::request("container.security.readonly_rootfs")),
        false => ("rw", Origin::default("pod files")),
    };
    for name in ["hostname", "hosts", "resolv.conf"] {
        let destination = format!("/etc/{name}");
        let source = inputs.sandbox_dir.join(name);
        if source.exists() {
            let options = ["rbind", "rprivate", write];
            let body = json!({"destination": destination, "type": "bind", "source": source, "options": options});
            spec.put(LIST, &destination, body, origin.clone())?;
        }
    }
    let (source, origin) = match inputs.sandbox.security.namespaces.ipc {
        NamespaceMode::Node => (PathBuf::from("/dev/shm"), Origin::request("sandbox.security.namespaces.ipc")),
        _ => (inputs.sandbox_dir.join("shm"), Origin::default("pod files")),
    };
    let body = json!({"destination": "/dev/shm", "type": "bind", "source": source,
        "options": ["rbind", "rprivate", "nosuid", "nodev", "noexec", "rw"]});
    spec.put(LIST, "/dev/shm", body, origin)
}

fn request(spec: &mut Builder, mount: &Mount, inputs: &Inputs<'_>) -> Result<()> {
    let destination = normal(&mount.container_path)?;
    if mount.image.is_some() {
        return Err(unable(mount, "image volumes are not there yet"));
    }
    if !mount.uids.is_empty() || !mount.gids.is_empty() {
        return Err(unable(mount, "mounts with id mappings are not there yet"));
    }
    if mount.recursive_readonly && (!mount.readonly || mount.propagation != Propagation::Private) {
        return Err(Fault::invalid(
            "assemble",
            format!("mount {destination}: recursive_read_only needs readonly and private propagation"),
        ));
    }
    if mount.recursive_readonly && !inputs.handler.features.recursive_read_only {
        let what = format!("the runtime of handler {} has no recursive_read_only mounts", inputs.handler_name);
        return Err(unable(mount, &what));
    }
    let source = source(mount)?;
    let propagation = match mount.propagation {
        Propagation::Private => "rprivate",
        Propagation::HostToContainer => "rslave",
        Propagation::Bidirectional => "rshared",
    };
    let write = match (mount.readonly, mount.recursive_readonly) {
        (_, true) => "rro",
        (true, _) => "ro",
        _ => "rw",
    };
    // What is mounted over /dev or /sys as a whole brings its own contents.
    if matches!(destination.as_str(), "/dev" | "/sys" | "/proc") {
        let inner = format!("{destination}/");
        spec.retain(LIST, |key| !key.starts_with(&inner));
    }
    let body = json!({"destination": destination, "type": "bind", "source": source,
        "options": ["rbind", propagation, write]});
    spec.put(LIST, &destination, body, Origin::request(format!("container.mounts[{destination}]")))
}

/// The real host path. What is missing is made as a folder, as the other CRI runtimes do.
fn source(mount: &Mount) -> Result<PathBuf> {
    let path = Path::new(&mount.host_path);
    let fault = |what: &str, e: std::io::Error| {
        let errno = e.raw_os_error().unwrap_or_default();
        Fault::new(Layer::Spec, "assemble", format!("{what} host path {:?} of mount {:?}", path, mount.container_path))
            .kind(Kind::InvalidArgument)
            .because(&e)
            .syscall("stat", &mount.host_path, errno)
    };
    if !path.is_absolute() {
        return Err(Fault::invalid("assemble", format!("host path {:?} is not absolute", mount.host_path)));
    }
    if !path.try_exists().map_err(|e| fault("cannot look at", e))? {
        std::fs::DirBuilder::new().recursive(true).mode(0o755).create(path).map_err(|e| fault("cannot make", e))?;
    }
    path.canonicalize().map_err(|e| fault("cannot resolve", e))
}

/// An absolute destination without `.`, `..` and doubled slashes.
fn normal(destination: &str) -> Result<String> {
    let bad = || {
        Fault::invalid("assemble", format!("mount destination {destination:?} is not a plain absolute path"))
            .detail(|d| d.pointer = Some(LIST.into()))
    };
    let path = Path::new(destination);
    if !path.is_absolute() || destination.contains('\0') || path.components().any(|c| c == Component::ParentDir) {
        return Err(bad());
    }
    let clean: PathBuf = path.components().collect();
    match clean.to_str() {
        Some("/") | None => Err(bad()),
        Some(text) => Ok(text.to_owned()),
    }
}

fn unable(mount: &Mount, what: &str) -> Fault {
    Fault::new(Layer::Spec, "assemble", format!("mount {:?}: {what}", mount.container_path)).kind(Kind::Unimplemented)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn destinations_are_plain() {
        assert_eq!(normal("/a//b/./c/").expect("plain"), "/a/b/c");
        for bad in ["", "/", "a", "/a/../b", "/a\0b", "//"] {
            normal(bad).expect_err(bad);
        }
    }
}
