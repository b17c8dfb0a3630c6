//! At the start of the daemon: replay the store, ask every shim, compare with mounts, namespaces and cgroups. What
//! disagrees is repaired or reported, never ignored; one object's trouble does not keep the others from recovery.

use crate::events::{Event, Topic};
use crate::shim::Shim;
use crate::state::{ContainerPhase, ContainerRecord, SandboxPhase, SandboxRecord, blocking};
use crate::{Core, container, paths, sandbox, shims, task};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_net::netns;
use std::collections::BTreeSet;
use std::path::{Path, PathBuf};
use std::time::Duration;
use tokio::task::JoinSet;

/// How long the recovery of all objects together may hold up the start of the daemon; what is not done goes on after that.
const PATIENCE: Duration = Duration::from_secs(5);

pub(crate) async fn recover(core: &Core) -> Result<()> {
    if core.config().handlers.values().any(|handler| handler.foreign) {
        crate::shim::events::serve(&paths::events_socket(&core.config().state))?;
    }
    let mut recoveries = Recoveries::default();
    for (namespace, id, record) in core.sandboxes().all() {
        let (core, name) = (core.clone(), id.clone());
        recoveries.begin(name, async move { one_sandbox(&core, &namespace, &id, &record).await });
    }
    for (namespace, id, record) in core.containers().all() {
        let (core, name) = (core.clone(), id.clone());
        recoveries.begin(name, async move { one_container(&core, &namespace, &id, &record).await });
    }
    stray_shims(core, &mut recoveries);
    recoveries.patiently().await;
    orphans(core).await;
    core.journal().publish(Event::new("node", Topic::NodeRecovered));
    Ok(())
}

/// Recoveries, all at once: none waits for another's shim.
#[derive(Default)]
struct Recoveries {
    tasks: JoinSet<String>,
    waited_for: BTreeSet<String>,
}

impl Recoveries {
    fn begin(&mut self, id: String, recovery: impl Future<Output = Result<()>> + Send + 'static) {
        self.waited_for.insert(id.clone());
        self.tasks.spawn(async move {
            if let Err(fault) = recovery.await {
                tracing::error!(id, %fault, "an object was not recovered");
            }
            id
        });
    }

    async fn patiently(mut self) {
        let all = async {
            while let Some(done) = self.tasks.join_next().await {
                match done {
                    Ok(id) => drop(self.waited_for.remove(&id)),
                    Err(panic) => tracing::error!(%panic, "a recovery died"),
                }
            }
        };
        if tokio::time::timeout(PATIENCE, all).await.is_err() {
            tracing::warn!(ids = ?self.waited_for, "recoveries take long and go on beside the daemon's work");
        }
        self.tasks.detach_all();
    }
}

async fn one_sandbox(core: &Core, namespace: &str, id: &str, record: &SandboxRecord) -> Result<()> {
    match record.phase {
        SandboxPhase::Making => {
            tracing::info!(sandbox = id, "undoing a sandbox that was being made");
            sandbox::erase(core, namespace, id).await
        }
        SandboxPhase::NotReady => Ok(()),
        SandboxPhase::Ready => match shims::reach(core, namespace, id).await {
            Ok(None) => not_ready(core, namespace, id, record).await,
            Ok(Some(_)) | Err(_) => {
                sandbox::watch(core, namespace, id);
                shims::follow_log(core, namespace, id)
            }
        },
    }
}

async fn not_ready(core: &Core, namespace: &str, id: &str, record: &SandboxRecord) -> Result<()> {
    let what = match record.boot == core.boot() {
        true => "the pod's shim died while no daemon ran",
        false => "the node was booted anew",
    };
    let fault = Fault::new(Layer::Shim, "recover", what).kind(Kind::Unavailable).in_pod(id);
    let (ns, sid) = (namespace.to_owned(), id.to_owned());
    let change = move |record: &mut SandboxRecord| {
        record.phase = SandboxPhase::NotReady;
        record.fault = Some(fault.clone());
        Some(Event::new(&ns, Topic::SandboxFailed).sandbox(&sid).fault(&fault))
    };
    core.sandboxes().update(namespace, id, change).await.map(|_record| ())
}

async fn one_container(core: &Core, namespace: &str, id: &str, record: &ContainerRecord) -> Result<()> {
    match record.phase {
        ContainerPhase::Making => {
            tracing::info!(container = id, "undoing a container that was being made");
            container::erase(core, namespace, id).await
        }
        ContainerPhase::Starting => container::settle(core, namespace, id).await,
        ContainerPhase::Running => match shims::reach(core, namespace, &record.sandbox).await {
            Ok(None) => container::lost(core, namespace, id).await,
            // The follower asks the shim, which answers at once if the container has ended meanwhile.
            Ok(Some(_)) | Err(_) => {
                container::follow(core, namespace, id);
                Ok(())
            }
        },
        ContainerPhase::Exited => {
            // The daemon died between recording the exit and having the task deleted.
            let deleted = shims::ask(core, namespace, &record.sandbox, |shim| async move { shim.delete(id, "").await });
            match deleted.await {
                Err(fault) if fault.class() != Kind::NotFound => Err(fault),
                _ => Ok(()),
            }
        }
        ContainerPhase::Created | ContainerPhase::Unknown => Ok(()),
    }
}

/// What an earlier daemon made and no record owns: attachments, folders with their mounts.
async fn orphans(core: &Core) {
    crate::orphans::end(core).await;
    if let Err(fault) = networks(core).await {
        tracing::error!(%fault, "networks of unknown sandboxes were not given back");
    }
    let state = core.config().state.clone();
    let sandboxes: BTreeSet<PathBuf> =
        core.sandboxes().all().into_iter().map(|(ns, id, _)| Path::new(&ns).join(id)).collect();
    let containers: BTreeSet<PathBuf> =
        core.containers().all().into_iter().map(|(ns, id, _)| Path::new(&ns).join(id)).collect();
    let swept = blocking(move || {
        sweep(&state.join("tasks"), &containers, &task::remove_bundle);
        sweep(&state.join("sandboxes"), &sandboxes, &sandbox::remove_files);
        Ok(())
    });
    if let Err(fault) = swept.await {
        tracing::error!(%fault, "folders of unknown owners were not removed");
    }
}

/// Ends shims that were started but not recorded, and removes the sockets of dead ones.
fn stray_shims(core: &Core, recoveries: &mut Recoveries) {
    let known: BTreeSet<String> =
        core.sandboxes().all().into_iter().filter_map(|(_, _, record)| record.shim_address).collect();
    let folder = paths::socket_dir(&core.config().state);
    for socket in std::fs::read_dir(&folder).into_iter().flatten().flatten().map(|entry| entry.path()) {
        let address = format!("unix://{}", socket.display());
        if !known.contains(&address) {
            recoveries.begin(address.clone(), async move { end_stray(&address, &socket).await });
        }
    }
}

async fn end_stray(address: &str, socket: &Path) -> Result<()> {
    match Shim::connect(address).await {
        // Unless it keeps something, which would be another daemon's.
        Ok(shim) => shim.shutdown("", false).await?,
        Err(fault) if shims::gone(&fault) => std::fs::remove_file(socket).map_err(|e| {
            Fault::new(Layer::Store, "recover", format!("cannot remove {}", socket.display())).because(&e)
        })?,
        Err(fault) => return Err(fault),
    }
    tracing::info!(address, "ended a shim that no record owns");
    Ok(())
}

async fn networks(core: &Core) -> Result<()> {
    let known: BTreeSet<String> = core.sandboxes().all().into_iter().map(|(_, id, _)| id).collect();
    for id in core.network().attached()?.into_iter().filter(|id| !known.contains(id)) {
        tracing::info!(sandbox = id, "giving back the network of an unknown sandbox");
        core.network().teardown(&id).await?;
        netns::remove(netns::path(&id)).await?;
    }
    Ok(())
}

/// Removes `<top>/<namespace>/<id>` that no record owns.
fn sweep(top: &Path, known: &BTreeSet<PathBuf>, remove: &dyn Fn(&Path) -> Result<()>) {
    let folders = |path: &Path| std::fs::read_dir(path).into_iter().flatten().flatten().map(|entry| entry.path());
    for folder in folders(top).flat_map(|namespace| folders(&namespace)) {
        if folder.strip_prefix(top).is_ok_and(|own| known.contains(own)) {
            continue;
        }
        match remove(&folder) {
            Ok(()) => tracing::info!(folder = %folder.display(), "removed a folder that no record owns"),
            Err(fault) => tracing::error!(%fault, "a folder that no record owns was not removed"),
        }
    }
}
