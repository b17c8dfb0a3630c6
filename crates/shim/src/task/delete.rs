//! Delete: forgets a process that has ended; with the init, the container and all it left on the host.

use super::{Key, Phase, Process, Task, rootfs, timestamp, wrong_phase};
use crate::durable;
use crate::io::ChildIo;
use crate::oci::Runtime;
use crate::server::{Answer, Call, Handled, Reply, Server, decode};
use crate::worker::{Job, Outcome, Reporter, limits};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::task as wire;
use prost::Message;
use std::path::Path;
use std::time::{Duration, Instant};

/// How long output that is not written yet (a FIFO whose reader is slow, a full disk) may hold up a delete.
const DRAIN_BUDGET: Duration = Duration::from_secs(2);

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::DeleteRequest = decode(call)?;
    let key = Key::new(&request.id, &request.exec_id);
    let process = server.process(&key)?;
    let init = key.exec_id.is_empty();
    let deletable = match process.phase() {
        Phase::Stopped => true,
        // An exec that was never started, a container that was never started.
        Phase::Creating => !init && !process.starting,
        Phase::Created => init && !process.starting,
        Phase::Running => false,
    };
    if !deletable {
        return Err(wrong_phase(&key, "a process that has not ended cannot be deleted"));
    }
    if process.delete_reply.is_some() {
        return Err(wrong_phase(&key, "it is being deleted already"));
    }
    if init {
        start_worker(server, &key.id, call.reply)?;
        server.process(&key)?.delete_reply = Some(call.reply);
    } else {
        process.delete_reply = Some(call.reply);
        process.drain_until = Some(Instant::now() + DRAIN_BUDGET);
        server.finish_deletes();
    }
    Ok(Answer::Later)
}

fn start_worker(server: &mut Server, id: &str, reply: Reply) -> Result<(), Fault> {
    let task = server.task(id)?;
    let (runtime, mounted) = (task.runtime.clone(), task.mounted);
    let name = id.to_owned();
    let limit = reply.timeout.map_or(limits::DELETE, |timeout| timeout.min(limits::DELETE));
    server.start_worker(Job::Delete { id: id.to_owned() }, limit, ChildIo::default(), move |_, reporter, _| {
        remove(reporter, &runtime, &name, mounted)
    })
}

/// In a worker.
fn remove(reporter: &mut Reporter, runtime: &Runtime, id: &str, mounted: bool) -> Result<Outcome, Fault> {
    reporter.stage("delete the container");
    runtime.delete(id)?;
    let done = unmount(reporter, &runtime.bundle, mounted)?;
    // Nothing is left that the shim's `delete` would have to look for.
    durable::remove(&runtime.bundle.join(durable::TASK_FILE)).map_err(|e| {
        Fault::new(Layer::Shim, "delete", "cannot remove the task's record from the bundle").because(&e)
    })?;
    Ok(done)
}

fn unmount(reporter: &mut Reporter, bundle: &Path, mounted: bool) -> Result<Outcome, Fault> {
    if mounted {
        reporter.stage("unmount the rootfs");
        rootfs::unmount(&bundle.join("rootfs"))?;
    }
    Ok(Outcome::default())
}

/// In the server, when the worker has ended: output that is still on its way gets its budget.
pub(crate) fn finish(server: &mut Server, id: &str, result: Result<Outcome, Fault>) {
    let key = Key::init(id);
    let Ok(process) = server.process(&key) else { return };
    match result {
        Ok(_) => {
            process.drain_until = Some(Instant::now() + DRAIN_BUDGET);
            server.finish_deletes();
        }
        Err(fault) => {
            if let Some(reply) = process.delete_reply.take() {
                server.answer(reply, Err(fault.in_container(id)));
            }
        }
    }
}

/// Everything is written or given up: answers and forgets.
pub(crate) fn complete(server: &mut Server, key: &Key) {
    let Ok(process) = server.process(key) else { return };
    process.drain_until = None;
    let reply = process.delete_reply.take();
    let exit = process.exit;
    let answer = wire::DeleteResponse {
        pid: process.pid_number(),
        exit_status: exit.map_or(0, |exit| exit.code),
        exited_at: exit.map(|exit| timestamp(exit.at)),
    };
    let init = key.exec_id.is_empty();
    if init {
        server.stop_memory_watch(&key.id);
        if let Some(task) = server.tasks.remove(&key.id) {
            drop_streams(server, &task);
            task.processes().for_each(|process| refuse_waiters(server, key, process));
        }
        server.events.deleted(&key.id, &answer);
    } else if let Some(process) = server.task(&key.id).ok().and_then(|task| task.execs.remove(&key.exec_id)) {
        refuse_waiters(server, key, &process);
    }
    if let Some(reply) = reply {
        server.answer(reply, Ok(answer.encode_to_vec()));
    }
}

/// Who still waits for a process that is forgotten is told so, not left waiting.
fn refuse_waiters(server: &mut Server, key: &Key, process: &Process) {
    for &reply in &process.waiters {
        server.answer(reply, Err(wrong_phase(key, "the process was deleted before it ended").kind(Kind::NotFound)));
    }
}

/// Streams of execs that nobody deleted end with their container.
fn drop_streams(server: &mut Server, task: &Task) {
    for id in task.processes().flat_map(|process| process.outputs.iter().chain(&process.inputs)) {
        server.drop_stream(*id);
    }
}

/// Removes what a create that came to nothing has left, with nobody waiting: the mount, and the container if the runtime
/// got as far as that.
pub(crate) fn clean_up(server: &mut Server, id: &str, task: &Task, created: bool) {
    let (runtime, name, mounted) = (task.runtime.clone(), id.to_owned(), task.mounted);
    let job = Job::Cleanup { id: id.to_owned() };
    let started = server.start_worker(job, limits::DELETE, ChildIo::default(), move |_, reporter, _| {
        if created {
            reporter.stage("delete the container");
            runtime.delete(&name)?;
        }
        unmount(reporter, &runtime.bundle, mounted)
    });
    if let Err(fault) = started {
        server.log.warn(&fault.in_container(id));
    }
}
