//! CreateContainer: assembles and stores the spec, prepares the snapshot. Starts nothing.

use super::rootfs::accounts;
use super::{ContainerConfig, CreateRequest};
use crate::events::{Event, Topic};
use crate::oci_spec::{self, Accounts, Inputs, Resolved};
use crate::operations::Stage;
use crate::rollback::Rollback;
use crate::sandbox::{self, NamespaceMode};
use crate::state::{ContainerPhase, ContainerRecord, SandboxPhase, SandboxRecord, blocking};
use crate::{Core, clock, paths, task};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_image::Image;
use std::collections::BTreeMap;
use std::path::{Component, Path};

/// Creates a container and returns its id. A repeated request for the same sandbox, name and attempt joins the one under
/// way, and gets the id of the container that it made.
pub async fn create(core: &Core, request: CreateRequest) -> Result<String> {
    let meta = &request.config.metadata;
    if meta.name.is_empty() {
        return Err(Fault::invalid("check", "container field metadata.name: is empty"));
    }
    let Some((sandbox, _)) = sandbox::resolve(core, &request.namespace, &request.sandbox)? else {
        let what = format!("sandbox {:?} is unknown", request.sandbox);
        return Err(Fault::new(Layer::Caller, "create", what).kind(Kind::NotFound));
    };
    let key = format!("create {} {sandbox} {} {}", request.namespace, meta.name, meta.attempt);
    let (owned, request) = (core.clone(), CreateRequest { sandbox, ..request });
    core.making().join(&key, |stage| async move { make(owned, request, stage).await }).await
}

async fn make(core: Core, request: CreateRequest, stage: Stage) -> Result<String> {
    if let Some(id) = existing(&core, &request)? {
        return Ok(id);
    }
    let id = plimsoll_sys::host::random_id()
        .map_err(|e| Fault::new(Layer::Kernel, "create", "no random numbers for an id").because(&e))?;
    let mut rollback = Rollback::default();
    match steps(&core, &id, &request, &stage, &mut rollback).await {
        Ok(()) => Ok(id),
        Err(fault) => {
            stage.enter("rollback");
            let fault = rollback.undo(fault).await.in_container(&id).in_pod(&request.sandbox);
            let event = Event::new(&request.namespace, Topic::ContainerFailed).sandbox(&request.sandbox);
            core.journal().publish(event.container(&id).fault(&fault));
            Err(fault)
        }
    }
}

/// The container that an earlier request for the same name made.
fn existing(core: &Core, request: &CreateRequest) -> Result<Option<String>> {
    let meta = &request.config.metadata;
    let all = super::of_sandbox(core, &request.namespace, &request.sandbox);
    let Some((id, record)) = all.into_iter().find(|(_, record)| record.config.metadata == *meta) else {
        return Ok(None);
    };
    if record.phase == ContainerPhase::Created && record.config == request.config {
        return Ok(Some(id));
    }
    let what = format!("container {} attempt {} of the pod exists as {id}", meta.name, meta.attempt);
    Err(Fault::new(Layer::Caller, "create", what).kind(Kind::AlreadyExists).hint("remove it first").in_container(&id))
}

async fn steps(core: &Core, id: &str, request: &CreateRequest, stage: &Stage, rollback: &mut Rollback) -> Result<()> {
    let namespace = &request.namespace;
    let sandbox = ready_sandbox(core, request)?;
    stage.enter("image");
    let image = image(core, namespace, &request.config).await?;
    let record = new_record(request, &sandbox, &image)?;
    let parent = record.parent.clone();
    core.containers().put(namespace, id, record, None).await?;
    let (undo, ns, cid) = (core.clone(), namespace.clone(), id.to_owned());
    rollback.push("the record", async move { undo.containers().remove(&ns, &cid, None).await });

    stage.enter("snapshot");
    let (undo, ns, cid) = (core.clone(), namespace.clone(), id.to_owned());
    rollback.push("the snapshot", async move { super::remove::snapshot(&undo, &ns, &cid).await });
    let accounts = snapshot(core, namespace, id, parent, &request.sandbox).await?;

    stage.enter("spec");
    let user = oci_spec::resolve(&request.config.security, &image.config.config.user, &accounts)?;
    let (finished, cgroup) = assemble(core, id, request, &sandbox, &image, &user)?;
    let bundle = paths::bundle(&core.config().state, namespace, id);
    let undo = bundle.clone();
    rollback.push("the bundle", async move { blocking(move || task::remove_bundle(&undo)).await });
    let provenance = serde_json::to_vec_pretty(&finished.provenance).unwrap_or_default();
    let spec = finished.config.to_string();
    blocking(move || {
        task::write_bundle(&bundle, &[("config.json", spec.as_bytes()), ("provenance.json", &provenance)])
    })
    .await?;

    let event = Event::new(namespace, Topic::ContainerCreated).sandbox(&request.sandbox).container(id);
    let made = move |record: &mut ContainerRecord| {
        record.user = user.user;
        record.cgroup = cgroup;
        record.phase = ContainerPhase::Created;
        Some(event)
    };
    match core.containers().update(namespace, id, made).await? {
        Some(_record) => Ok(()),
        None => Err(Fault::new(Layer::Caller, "create", "the sandbox was removed meanwhile").kind(Kind::Cancelled)),
    }
}

fn ready_sandbox(core: &Core, request: &CreateRequest) -> Result<SandboxRecord> {
    let record = core.sandboxes().find(&request.namespace, &request.sandbox);
    record.filter(|record| record.phase == SandboxPhase::Ready).ok_or_else(|| {
        Fault::new(Layer::Caller, "create", format!("sandbox {} is not ready", request.sandbox))
            .kind(Kind::FailedPrecondition)
    })
}

async fn image(core: &Core, namespace: &str, config: &ContainerConfig) -> Result<Image> {
    let name = &config.image.image;
    let found = core.images().image(namespace, name).await?;
    found.ok_or_else(|| {
        Fault::new(Layer::Image, "create", format!("image {name:?} is not present"))
            .kind(Kind::NotFound)
            .hint("pull it first")
            .of_image(name)
    })
}

fn new_record(request: &CreateRequest, sandbox: &SandboxRecord, image: &Image) -> Result<ContainerRecord> {
    let config = &request.config;
    let process = &image.config.config;
    let stop_signal = [&config.stop_signal, &process.stop_signal].into_iter().find(|name| !name.is_empty());
    let stop_signal = stop_signal.map_or("SIGTERM", String::as_str).to_owned();
    if task::signal_number(&stop_signal).is_none() {
        return Err(Fault::new(Layer::Spec, "create", format!("stop signal {stop_signal:?} is no signal"))
            .kind(Kind::InvalidArgument));
    }
    let image_id = image.id.to_string();
    Ok(ContainerRecord {
        sandbox: request.sandbox.clone(),
        created_at: clock::now(),
        image_ref: image.repo_digests.first().cloned().unwrap_or_else(|| image_id.clone()),
        image_id,
        parent: image.chain.last().map(ToString::to_string),
        stop_signal,
        log_path: log_path(&sandbox.request.config.log_directory, &config.log_path)?,
        config: config.clone(),
        ..ContainerRecord::default()
    })
}

/// Below the sandbox's folder, always (CVE-2025-0750).
fn log_path(directory: &str, path: &str) -> Result<String> {
    if path.is_empty() || directory.is_empty() {
        return Ok(String::new());
    }
    if !Path::new(path).components().all(|part| matches!(part, Component::Normal(_) | Component::CurDir)) {
        return Err(Fault::invalid("check", format!("container field log_path: {path:?} leaves the log directory")));
    }
    Ok(Path::new(directory).join(path).to_string_lossy().into_owned())
}

/// Makes the writable snapshot and reads the image's accounts through it.
async fn snapshot(core: &Core, namespace: &str, id: &str, parent: Option<String>, sandbox: &str) -> Result<Accounts> {
    let snapshotter = core.images().snapshotter(namespace)?;
    let labels = BTreeMap::from([
        ("plimsoll.dev/container".to_owned(), id.to_owned()),
        ("plimsoll.dev/sandbox".to_owned(), sandbox.to_owned()),
    ]);
    let key = id.to_owned();
    blocking(move || {
        let mounts = snapshotter.prepare(&key, parent.as_deref(), labels)?;
        accounts(&mounts)
    })
    .await
}

fn assemble(
    core: &Core,
    id: &str,
    request: &CreateRequest,
    sandbox: &SandboxRecord,
    image: &Image,
    user: &Resolved,
) -> Result<(oci_spec::Finished, String)> {
    let config = core.config();
    let (handler_name, handler) = core.handler(&sandbox.handler)?;
    let modes = &sandbox.request.config.security.namespaces;
    let hostname = match modes.network {
        NamespaceMode::Pod => sandbox.request.config.hostname.as_str(),
        _ => "",
    };
    let own = &request.config.security.namespaces;
    let target = super::target::running(core, &request.namespace, &request.sandbox, &own.target_id);
    let bundle = paths::bundle(&config.state, &request.namespace, id);
    let inputs = Inputs {
        id,
        sandbox_id: &request.sandbox,
        sandbox: &sandbox.request.config,
        config: &request.config,
        image: &image.config.config,
        handler: &handler,
        handler_name: &handler_name,
        host: core.host(),
        user,
        hostname,
        sandbox_dir: &paths::sandbox_dir(&config.state, &request.namespace, &request.sandbox),
        ns_dir: &paths::ns_dir(&config.state, &request.namespace, &request.sandbox),
        netns: sandbox.netns.as_deref(),
        target_pids: target.map(|_running| task::pid_pin(&bundle)),
        cgroup_parent: &sandbox.cgroup_parent,
        systemd_cgroup: config.systemd_cgroup,
        default_env: &config.default_env,
        seccomp_by_default: config.seccomp_by_default,
    };
    let (finished, warnings) = oci_spec::assemble(&inputs)?;
    for warning in warnings {
        tracing::warn!(container = id, warning, "the spec is not all that was asked for");
    }
    let cgroup = finished.config.pointer("/linux/cgroupsPath").and_then(|path| path.as_str());
    let cgroup = cgroup.unwrap_or_default().to_owned();
    Ok((finished, cgroup))
}
