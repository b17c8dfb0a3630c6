//! The end of a container: waiting for it, recording it once, telling those who wait.

use crate::Core;
use crate::events::{Event, Topic};
use crate::shim::{Exit, ExitRecord, Shim};
use crate::state::{ContainerPhase, ContainerRecord};
use crate::{cgroups, clock, shims};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::collections::HashMap;
use std::sync::{Mutex, MutexGuard, PoisonError};
use tokio::sync::watch;

type Key = (String, String);

/// Exit code of a container that never ran, as the kubelet knows it from other runtimes.
const NOT_STARTED: i32 = 128;
/// The reason of such a container.
const START_ERROR: &str = "StartError";
/// Exit code of a container whose end nobody saw.
const NOT_KNOWN: i32 = 255;

/// The containers that are followed; each ends with `true`.
#[derive(Default)]
pub(crate) struct Exits(Mutex<HashMap<Key, watch::Receiver<bool>>>);

impl Exits {
    /// Waits for the recorded end of a container; at once if it is not followed.
    pub(crate) async fn ended(&self, namespace: &str, id: &str) {
        let receiver = self.table().get(&(namespace.to_owned(), id.to_owned())).cloned();
        if let Some(mut receiver) = receiver
            && receiver.wait_for(|ended| *ended).await.is_err()
        {
            tracing::debug!(container = id, "the follower of a container has ended");
        }
    }

    /// `None` when the key is there already.
    fn register(&self, key: &Key) -> Option<watch::Sender<bool>> {
        let mut table = self.table();
        if table.contains_key(key) {
            return None;
        }
        let (sender, receiver) = watch::channel(false);
        table.insert(key.clone(), receiver);
        Some(sender)
    }

    fn table(&self) -> MutexGuard<'_, HashMap<Key, watch::Receiver<bool>>> {
        // The table is whole after each statement, so a panic elsewhere leaves it usable.
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A container whose end is going to be recorded. It is known to those who wait before the container runs: only a
/// followed container becomes a running one, so that nobody finds a running one that nobody follows.
pub(super) struct Followed {
    core: Core,
    key: Key,
    sender: watch::Sender<bool>,
}

impl Followed {
    /// Registers it. `None` when it is followed already.
    pub(super) fn register(core: &Core, namespace: &str, id: &str) -> Option<Self> {
        let key = (namespace.to_owned(), id.to_owned());
        let sender = core.exits().register(&key)?;
        Some(Self { core: core.clone(), key, sender })
    }

    /// Records that the container runs, and follows it until its end is recorded.
    pub(super) async fn runs(self, pid: u32) -> Result<()> {
        let (namespace, id) = self.key.clone();
        let (ns, cid) = self.key.clone();
        let running = move |record: &mut ContainerRecord| {
            record.phase = ContainerPhase::Running;
            record.started_at = clock::now();
            record.pid = pid;
            Some(Event::new(&ns, Topic::ContainerStarted).sandbox(&record.sandbox).container(&cid))
        };
        self.core.containers().update(&namespace, &id, running).await?;
        self.follow();
        Ok(())
    }

    fn follow(self) {
        tokio::spawn(async move {
            let (namespace, id) = &self.key;
            if let Err(fault) = until_exit(&self.core, namespace, id).await {
                tracing::error!(container = id, %fault, "the end of a container was not recorded");
            }
        });
    }
}

impl Drop for Followed {
    fn drop(&mut self) {
        self.core.exits().table().remove(&self.key);
        self.sender.send_replace(true);
    }
}

/// Follows a container that is recorded as running, unless that is done already.
pub(crate) fn follow(core: &Core, namespace: &str, id: &str) {
    if let Some(followed) = Followed::register(core, namespace, id) {
        followed.follow();
    }
}

/// A connection that breaks is made again; only a shim that no longer listens is gone.
async fn until_exit(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let Some(record) = core.containers().find(namespace, id).filter(ContainerRecord::alive) else { return Ok(()) };
    while let Some(shim) = shims::alive(core, namespace, &record.sandbox).await {
        match ended(&shim, id).await {
            Ok(told) => {
                // A full disk must not lose the exit: the shim keeps it until it is recorded.
                while let Err(fault) = record_exit(core, namespace, id, &told).await {
                    if fault.class() == Kind::NotFound {
                        return Err(fault);
                    }
                    tracing::warn!(container = id, %fault, "an exit cannot be recorded yet");
                    tokio::time::sleep(10 * shims::PAUSE).await;
                }
                forget_task(&shim, id).await;
                return Ok(());
            }
            Err(fault) if fault.class() == Kind::NotFound => {
                tracing::warn!(container = id, %fault, "the shim does not know a running container");
                break;
            }
            Err(fault) => {
                tracing::warn!(container = id, %fault, "waiting for a container was interrupted");
                tokio::time::sleep(shims::PAUSE).await;
            }
        }
    }
    lost(core, namespace, id).await
}

/// Waits for the end. Reason and OOM verdict only our shim tells; with others the code decides.
async fn ended(shim: &Shim, id: &str) -> Result<ExitRecord> {
    let exit = shim.wait(id, "").await?;
    match shim.exit(id, "").await {
        Ok(Some(record)) => Ok(record),
        // The connection broke, or the shim is slow: it still knows what it knew.
        Err(fault) if matches!(fault.class(), Kind::Unavailable | Kind::DeadlineExceeded) => Err(fault),
        Ok(None) | Err(_) => Ok(by_code(exit)),
    }
}

fn by_code(exit: Exit) -> ExitRecord {
    let reason = if exit.code == 0 { "Completed" } else { "Error" };
    ExitRecord { code: exit.code, at: exit.at, started_at: None, oom_killed: false, reason: reason.to_owned() }
}

/// Records an exit, once. One durable write, after which the shim may forget it.
async fn record_exit(core: &Core, namespace: &str, id: &str, exit: &ExitRecord) -> Result<()> {
    let (ns, cid, exit, unified) = (namespace.to_owned(), id.to_owned(), exit.clone(), core.host().cgroup_unified);
    let change = move |record: &mut ContainerRecord| {
        if !record.alive() {
            return None;
        }
        record.phase = ContainerPhase::Exited;
        record.exit_code = i32::try_from(exit.code).unwrap_or(NOT_KNOWN);
        record.finished_at = exit.at.map_or_else(clock::now, clock::nanos);
        record.pid = 0;
        record.reason = exit.reason.clone();
        if record.started_at == 0 {
            record.started_at = exit.started_at.map_or(record.finished_at, clock::nanos);
        }
        let event = Event::new(&ns, Topic::ContainerExited).sandbox(&record.sandbox).container(&cid);
        // A child may have been killed while the container itself succeeded.
        if !exit.oom_killed || exit.code == 0 {
            return Some(event);
        }
        record.reason = "OOMKilled".into();
        let fault = oom(&cid, record, unified);
        record.message = fault.to_string();
        record.fault = Some(fault.clone());
        Some(Event { topic: Topic::ContainerOom, ..event.fault(&fault) })
    };
    core.containers().update(namespace, id, change).await.map(|_record| ())
}

/// Row four of the failures: the kernel acted, on whose limit.
fn oom(id: &str, record: &ContainerRecord, unified: bool) -> Fault {
    let limit = cgroups::usage(&record.cgroup, unified).memory_limit;
    let asked = u64::try_from(record.config.resources.memory_limit).ok().filter(|limit| *limit > 0);
    let what = match limit.or(asked) {
        Some(bytes) => format!("OOM killed: the container reached its memory limit of {bytes} bytes"),
        None => "OOM killed: a memory limit above the container was reached".to_owned(),
    };
    let fault = Fault::new(Layer::Kernel, "run", what).kind(Kind::ResourceExhausted);
    fault.in_container(id).in_pod(&record.sandbox).detail(|d| d.path = Some(record.cgroup.clone()))
}

async fn forget_task(shim: &Shim, id: &str) {
    match shim.delete(id, "").await {
        Err(fault) if fault.class() != Kind::NotFound => {
            tracing::warn!(container = id, %fault, "an ended task could not be deleted");
        }
        _ => {}
    }
}

/// The shim is gone: has its program remove what it left, and records the exit that it wrote down, or that nobody knows
/// how the container ended. Never an invented code.
pub(crate) async fn lost(core: &Core, namespace: &str, id: &str) -> Result<()> {
    let fault = Fault::new(Layer::Shim, "wait", "the shim is gone and left no exit code").kind(Kind::Unavailable);
    abandon(core, namespace, id, fault).await
}

/// Ends what is left of a container without its shim, whose `fault` is the reason if the exit is not known.
pub(super) async fn abandon(core: &Core, namespace: &str, id: &str, fault: Fault) -> Result<()> {
    let Some(record) = core.containers().find(namespace, id).filter(ContainerRecord::alive) else { return Ok(()) };
    let fault = fault.in_container(id).in_pod(&record.sandbox);
    match shims::clean_up_after(core, namespace, &record.sandbox, id).await {
        Ok(Some(exit)) => record_exit(core, namespace, id, &by_code(exit)).await,
        Ok(None) => unknown(core, namespace, id, fault).await,
        Err(second) => unknown(core, namespace, id, fault.why(second.to_string())).await,
    }
}

async fn unknown(core: &Core, namespace: &str, id: &str, fault: Fault) -> Result<()> {
    let (ns, cid) = (namespace.to_owned(), id.to_owned());
    let change = move |record: &mut ContainerRecord| {
        if !record.alive() {
            return None;
        }
        record.phase = ContainerPhase::Unknown;
        record.exit_code = NOT_KNOWN;
        record.finished_at = clock::now();
        record.pid = 0;
        record.reason = "Unknown".into();
        record.message = fault.to_string();
        record.fault = Some(fault.clone());
        Some(Event::new(&ns, Topic::ContainerFailed).sandbox(&record.sandbox).container(&cid).fault(&fault))
    };
    core.containers().update(namespace, id, change).await.map(|_record| ())
}

/// Records a container that never ran: RunContainerError in the kubelet's words.
pub(super) async fn not_started(core: &Core, namespace: &str, id: &str, fault: &Fault) -> Result<()> {
    let (ns, cid, fault) = (namespace.to_owned(), id.to_owned(), fault.clone());
    let change = move |record: &mut ContainerRecord| {
        record.phase = ContainerPhase::Exited;
        record.exit_code = NOT_STARTED;
        record.finished_at = clock::now();
        record.reason = START_ERROR.into();
        record.message = fault.to_string();
        record.fault = Some(fault.clone());
        Some(Event::new(&ns, Topic::ContainerFailed).sandbox(&record.sandbox).container(&cid).fault(&fault))
    };
    core.containers().update(namespace, id, change).await.map(|_record| ())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    #[tokio::test]
    async fn whoever_waits_finds_a_container_from_its_registration_on() {
        let exits = Exits::default();
        let key = ("ns".to_owned(), "c".to_owned());
        let sender = exits.register(&key).expect("free");
        assert!(exits.register(&key).is_none(), "it is followed once");
        let waits = tokio::time::timeout(Duration::from_millis(20), exits.ended("ns", "c"));
        assert!(waits.await.is_err(), "it has not ended");
        sender.send_replace(true);
        exits.ended("ns", "c").await;
        exits.ended("ns", "another").await;
    }
}
