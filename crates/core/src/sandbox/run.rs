//! RunPodSandbox: one straight path from the request to a ready pod.

use super::check::check;
use super::{NamespaceMode, RunRequest, SandboxConfig, container, files};
use crate::Core;
use crate::config::Controller;
use crate::events::{Event, Topic};
use crate::operations::Stage;
use crate::rollback::Rollback;
use crate::shim::{Launch, SandboxRequest, Shim};
use crate::shims::{self, launcher};
use crate::state::blocking;
use crate::state::{SandboxPhase, SandboxRecord};
use crate::{clock, paths};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_net::{Attachment, Dns, Pod, PortMapping, netns};

/// Runs a sandbox and returns its id. A repeated request for the same pod name, uid, namespace and attempt joins the one
/// under way, and gets the id of the ready sandbox that it made.
pub async fn run(core: &Core, request: RunRequest) -> Result<String> {
    check(&request)?;
    let meta = &request.config.metadata;
    let key = format!("run {} {}/{} {} {}", request.namespace, meta.namespace, meta.name, meta.uid, meta.attempt);
    let core = core.clone();
    core.making().clone().join(&key, |stage| async move { make(core, request, stage).await }).await
}

async fn make(core: Core, request: RunRequest, stage: Stage) -> Result<String> {
    if let Some(id) = existing(&core, &request)? {
        return Ok(id);
    }
    let id = plimsoll_sys::host::random_id()
        .map_err(|e| Fault::new(Layer::Kernel, "run", "no random numbers for an id").because(&e))?;
    let mut rollback = Rollback::default();
    match steps(&core, &id, request.clone(), &stage, &mut rollback).await {
        Ok(()) => Ok(id),
        Err(fault) => {
            stage.enter("rollback");
            let fault = rollback.undo(fault).await.in_pod(&id);
            core.journal().publish(Event::new(&request.namespace, Topic::SandboxFailed).sandbox(&id).fault(&fault));
            Err(fault)
        }
    }
}

/// The sandbox that an earlier request for the same pod made.
fn existing(core: &Core, request: &RunRequest) -> Result<Option<String>> {
    let meta = &request.config.metadata;
    let same = |record: &SandboxRecord| record.request.config.metadata == *meta;
    let Some((id, record)) = core.sandboxes().list(&request.namespace).into_iter().find(|(_, r)| same(r)) else {
        return Ok(None);
    };
    if record.phase == SandboxPhase::Ready && record.request == *request {
        return Ok(Some(id));
    }
    let what = format!("pod {}/{} attempt {} exists as sandbox {id}", meta.namespace, meta.name, meta.attempt);
    let hint = if record.phase == SandboxPhase::Ready { "its configuration differs" } else { "remove it first" };
    Err(Fault::new(Layer::Caller, "run", what).kind(Kind::AlreadyExists).hint(hint))
}

async fn steps(core: &Core, id: &str, request: RunRequest, stage: &Stage, rollback: &mut Rollback) -> Result<()> {
    let namespace = request.namespace.clone();
    let (handler_name, handler) = core.handler(&request.handler)?;
    let mut record = new_record(core, id, request, handler_name);
    record.controller = handler.controller;
    core.sandboxes().put(&namespace, id, record.clone(), None).await?;
    let (undo, ns, sid) = (core.clone(), namespace.clone(), id.to_owned());
    rollback.push("the record", async move { undo.sandboxes().remove(&ns, &sid, None).await });

    stage.enter("network");
    network(core, id, &mut record, rollback).await?;

    stage.enter("files");
    let dir = paths::sandbox_dir(&core.config().state, &namespace, id);
    let undo = dir.clone();
    rollback.push("the pod's files", async move { blocking(move || files::remove(&undo)).await });
    let (config, host, ips) = (record.request.config.clone(), hostname(&record), record.ips.clone());
    let folder = dir.clone();
    blocking(move || {
        files::folder(&folder)?;
        make_log_directory(&config.log_directory)?;
        files::write(&folder, &config, &host, &ips)
    })
    .await?;

    stage.enter("shim");
    if record.controller == Controller::Container {
        container::write(core, id, &record, &handler.features.oci_version)?;
    }
    let (undo, ns, sid) = (core.clone(), namespace.clone(), id.to_owned());
    rollback.push("the reader of the shim's log", async move {
        undo.shims().drop_reader(&ns, &sid);
        Ok(())
    });
    shims::follow_log(core, &namespace, id)?;
    let launch = Launch { namespace: &namespace, id, bundle: &dir };
    let shim = launcher(core, &handler).start(launch).await?.with_deadline(core.config().timeouts.shim_work);
    rollback.push("the shim", end(core.clone(), shim.clone(), namespace.clone(), id.to_owned(), record.controller));
    record.shim_address = Some(shim.address().to_owned());
    record.shim_version = shim.version();
    core.sandboxes().put(&namespace, id, record.clone(), None).await?;

    stage.enter("sandbox");
    match record.controller {
        Controller::Shim => namespaces(core, &shim, id, &record).await?,
        Controller::Container => {
            let options = shims::task_options(core, &record.handler, &handler, &namespace);
            container::start(core, &shim, id, &record, &options).await?;
        }
    }
    record.phase = SandboxPhase::Ready;
    let event = Event::new(&namespace, Topic::SandboxReady).sandbox(id);
    core.sandboxes().put(&namespace, id, record, Some(event)).await?;
    core.shims().keep(&namespace, id, shim);
    super::watch(core, &namespace, id);
    Ok(())
}

/// Undoes the shim's part. One that died in the middle of it may have left the pod's PID 1.
async fn end(core: Core, shim: Shim, namespace: String, id: String, controller: Controller) -> Result<()> {
    let ended = match controller {
        Controller::Shim => shim.shutdown_sandbox(&id).await,
        Controller::Container => container::end(&shim, &id).await,
    };
    match ended {
        Err(_) if !shim.is_open() => shims::clean_up_sandbox(&core, &namespace, &id).await,
        outcome => outcome,
    }
}

fn new_record(core: &Core, id: &str, request: RunRequest, handler: String) -> SandboxRecord {
    let own_network = request.config.security.namespaces.network == NamespaceMode::Pod;
    let parent = &request.config.cgroup_parent;
    let cgroup_parent = if parent.is_empty() { core.config().cgroup_root.clone() } else { parent.clone() };
    SandboxRecord {
        created_at: clock::now(),
        handler,
        cgroup_parent,
        netns: own_network.then(|| netns::path(id)),
        boot: core.boot().to_owned(),
        request,
        ..SandboxRecord::default()
    }
}

/// The pod's network namespace and its attachment. Nothing with the host's network.
async fn network(core: &Core, id: &str, record: &mut SandboxRecord, rollback: &mut Rollback) -> Result<()> {
    let Some(path) = record.netns.clone() else { return Ok(()) };
    core.network().status()?;
    let undo = path.clone();
    rollback.push("the network namespace", async move { netns::remove(undo).await });
    netns::create(path.clone()).await?;
    let (undo, sid) = (core.clone(), id.to_owned());
    rollback.push("the network", async move { undo.network().teardown(&sid).await });
    let Attachment { ips, result, .. } = core.network().setup(&pod(id, record, path)).await?;
    record.ips = ips.iter().map(ToString::to_string).collect();
    record.network = Some(result);
    Ok(())
}

fn pod(id: &str, record: &SandboxRecord, netns: std::path::PathBuf) -> Pod {
    let config = &record.request.config;
    let port = |m: &super::PortMapping| PortMapping {
        host_port: m.host_port,
        container_port: m.container_port,
        protocol: m.protocol.clone(),
        host_ip: m.host_ip.clone(),
    };
    let dns =
        |d: &super::Dns| Dns { servers: d.servers.clone(), searches: d.searches.clone(), options: d.options.clone() };
    Pod {
        sandbox: id.to_owned(),
        netns,
        name: config.metadata.name.clone(),
        namespace: config.metadata.namespace.clone(),
        uid: config.metadata.uid.clone(),
        port_mappings: config.port_mappings.iter().map(port).collect(),
        dns: config.dns.as_ref().map(dns),
        bandwidth: None,
        cgroup: Some(record.cgroup_parent.clone()),
    }
}

/// The namespaces that the shim makes and pins: those the pod does not share with the host.
async fn namespaces(core: &Core, shim: &Shim, id: &str, record: &SandboxRecord) -> Result<()> {
    let config = &record.request.config;
    let modes = &config.security.namespaces;
    let kinds = kinds(config);
    let (state, namespace) = (&core.config().state, &record.request.namespace);
    let hostname = hostname(record);
    let request = SandboxRequest {
        id,
        bundle: &paths::sandbox_dir(state, namespace, id),
        ns_dir: &paths::ns_dir(state, namespace, id),
        netns: record.netns.as_deref(),
        hostname: if modes.network == NamespaceMode::Pod { &hostname } else { "" },
        sysctls: &config.sysctls,
        namespaces: &kinds,
    };
    shim.create_sandbox(request).await?;
    shim.start_sandbox(id).await.map(|_started| ())
}

/// The namespaces that the pod does not share with the host, the network's apart.
pub(super) fn kinds(config: &SandboxConfig) -> Vec<&'static str> {
    let modes = &config.security.namespaces;
    let mut kinds = Vec::new();
    if modes.ipc == NamespaceMode::Pod {
        kinds.push("ipc");
    }
    if modes.network == NamespaceMode::Pod {
        kinds.push("uts");
    }
    if modes.pid == NamespaceMode::Pod {
        kinds.push("pid");
    }
    kinds
}

/// What `/etc/hostname` says: the pod's name for itself, or the host's.
pub(super) fn hostname(record: &SandboxRecord) -> String {
    let config = &record.request.config;
    if config.security.namespaces.network == NamespaceMode::Pod && !config.hostname.is_empty() {
        return config.hostname.clone();
    }
    let own = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    own.trim().to_owned()
}

fn make_log_directory(path: &str) -> Result<()> {
    if path.is_empty() {
        return Ok(());
    }
    std::fs::create_dir_all(path)
        .map_err(|e| Fault::new(Layer::Store, "files", format!("cannot make the log directory {path}")).because(&e))
}
