//! The sandbox as a container of its own, for shims that have no Sandbox service or make a virtual machine of the first task: a
//! built-in program that sleeps, in a root filesystem that holds nothing else. Its namespaces are the pod's. The annotations
//! by which such shims know it are those of the other CRI runtimes.

use super::{pause, run};
use crate::shim::{CreateTask, Shim, Stdio, TaskOptions};
use crate::state::{SandboxRecord, blocking};
use crate::{Core, oci_spec, paths};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::mount::MountDescription;
use serde_json::{Value, json};
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::Duration;

const PROGRAM: &str = "pause";
/// Where the runtime mounts something: nothing can be made in a root filesystem that is only read.
const FOLDERS: [&str; 3] = ["proc", "dev", "sys"];
const SIGKILL: u32 = 9;
/// How long it may take to end when it was killed. A process that waits for a disk takes as long as that.
const KILLED: Duration = Duration::from_secs(60);

/// What the shim looks for in the sandbox's folder already at its start.
pub(super) fn write(core: &Core, id: &str, record: &SandboxRecord, version: &str) -> Result<()> {
    rootfs(&paths::pause_dir(&core.config().root), id)?;
    let dir = paths::sandbox_dir(&core.config().state, &record.request.namespace, id);
    let config = config(id, record, version, core.config().systemd_cgroup).to_string();
    let made = std::fs::DirBuilder::new().mode(0o755).create(dir.join("rootfs"));
    made.and_then(|()| std::fs::write(dir.join("config.json"), config))
        .map_err(|e| fault("cannot write the sandbox's bundle").because(&e))
}

/// Runs it and pins the namespaces that the pod's containers share.
pub(super) async fn start(
    core: &Core,
    shim: &Shim,
    id: &str,
    record: &SandboxRecord,
    options: &TaskOptions,
) -> Result<()> {
    let (state, namespace) = (&core.config().state, &record.request.namespace);
    let rootfs = [MountDescription {
        kind: "bind".to_owned(),
        source: paths::pause_dir(&core.config().root).to_string_lossy().into_owned(),
        target: String::new(),
        options: vec!["rbind".to_owned(), "ro".to_owned()],
    }];
    let bundle = &paths::sandbox_dir(state, namespace, id);
    shim.create_task(CreateTask { id, bundle, rootfs: &rootfs, stdio: &Stdio::default(), options }).await?;
    let pid = shim.start(id, "").await?;
    let (kinds, folder) = (run::kinds(&record.request.config), paths::ns_dir(state, namespace, id));
    blocking(move || {
        kinds.into_iter().try_for_each(|kind| {
            let cannot = |e: &std::io::Error| fault(format!("cannot pin the pod's {kind} namespace")).because(e);
            let found = File::open(format!("/proc/{pid}/ns/{kind}")).map_err(|e| cannot(&e))?;
            plimsoll_sys::hostmount::pin_namespace(&found, &folder.join(kind)).map_err(|e| cannot(&e))
        })
    })
    .await
}

/// Ends it and its shim. What is gone already is no error.
pub(super) async fn end(shim: &Shim, id: &str) -> Result<()> {
    match shim.kill(id, "", SIGKILL, true).await {
        Err(fault) if fault.class() != Kind::NotFound => return Err(fault),
        Ok(()) => {
            let late = |_| fault("the sandbox's container does not end").kind(Kind::DeadlineExceeded);
            tokio::time::timeout(KILLED, shim.wait(id, "")).await.map_err(late)??;
        }
        Err(_) => {}
    }
    match shim.delete(id, "").await {
        Err(fault) if fault.class() != Kind::NotFound => return Err(fault),
        _ => {}
    }
    // It may close the connection before it answers.
    match shim.shutdown(id, true).await {
        Err(fault) if shim.is_open() => Err(fault),
        _ => Ok(()),
    }
}

/// The program and its empty world, made once; by the pod `id` when no other did. One that was cut short, or is of another version, is
/// made anew.
fn rootfs(folder: &Path, id: &str) -> Result<()> {
    let program = folder.join(PROGRAM);
    let bytes = pause::program()
        .ok_or_else(|| fault("there is no sandbox program for this kind of processor").kind(Kind::Unimplemented))?;
    if std::fs::read(&program).is_ok_and(|found| found == bytes) {
        return Ok(());
    }
    let make = || {
        for name in FOLDERS {
            std::fs::DirBuilder::new().recursive(true).mode(0o755).create(folder.join(name))?;
        }
        let new = folder.join(format!("new-{id}"));
        std::fs::write(&new, &bytes)?;
        std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755))?;
        std::fs::rename(&new, &program)
    };
    make().map_err(|e: std::io::Error| fault(format!("cannot write {}", program.display())).because(&e))
}

fn config(id: &str, record: &SandboxRecord, version: &str, systemd_cgroup: bool) -> Value {
    let config = &record.request.config;
    let kinds = run::kinds(config);
    let mut namespaces = vec![json!({ "type": "mount" }), json!({ "type": "pid" })];
    // Of the pod's own ones; its containers may have PID namespaces each of their own, and it has one all the same.
    namespaces.extend(kinds.iter().filter(|kind| **kind != "pid").map(|kind| json!({ "type": kind })));
    namespaces.extend(record.netns.iter().map(|path| json!({ "type": "network", "path": path })));
    let uts = kinds.contains(&"uts");
    let hidden = oci_spec::hidden_paths();
    json!({
        "ociVersion": version,
        "process": {
            "user": { "uid": 0, "gid": 0 }, "args": [format!("/{PROGRAM}")], "cwd": "/", "noNewPrivileges": true,
            "capabilities": {},
        },
        "root": { "path": "rootfs", "readonly": true },
        "hostname": if uts { json!(run::hostname(record)) } else { Value::Null },
        "mounts": [
            { "destination": "/proc", "type": "proc", "source": "proc", "options": ["nosuid", "noexec", "nodev"] },
            { "destination": "/dev", "type": "tmpfs", "source": "tmpfs", "options": ["nosuid", "strictatime", "mode=755", "size=65536k"] },
        ],
        "annotations": {
            "io.kubernetes.cri.container-type": "sandbox",
            "io.kubernetes.cri.sandbox-id": id,
            "io.kubernetes.cri.sandbox-name": config.metadata.name,
            "io.kubernetes.cri.sandbox-namespace": config.metadata.namespace,
            "io.kubernetes.cri.sandbox-uid": config.metadata.uid,
            "io.kubernetes.cri.sandbox-log-directory": config.log_directory,
        },
        "linux": {
            "namespaces": namespaces,
            "cgroupsPath": oci_spec::cgroup_path(&record.cgroup_parent, id, systemd_cgroup),
            "sysctl": if uts || kinds.contains(&"ipc") { json!(config.sysctls) } else { json!({}) },
            "resources": { "devices": [{ "allow": false, "access": "rwm" }], "cpu": { "shares": 2 } },
            "seccomp": oci_spec::default_profile::<&str>(std::env::consts::ARCH, &[]),
            "maskedPaths": hidden.0,
            "readonlyPaths": hidden.1,
        },
    })
}

fn fault(what: impl Into<String>) -> Fault {
    Fault::new(Layer::Daemon, "sandbox", what)
}
