//! Start: runs a created container's program, or an exec.

use super::create::start_logger;
use super::{Key, Phase, wrong_phase};
use crate::io::{self, ChildIo};
use crate::server::{Answer, Call, Handled, Reply, Server, decode};
use crate::worker::{Job, Outcome, limits};
use plimsoll_fault::{Fault, Layer};
use plimsoll_proto::shim::task as wire;
use prost::Message;
use rustix::process::Pid;
use std::time::SystemTime;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::StartRequest = decode(call)?;
    let key = Key::new(&request.id, &request.exec_id);
    if key.exec_id.is_empty() { start(server, &key, call.reply) } else { start_exec(server, &key, call.reply) }
}

fn start(server: &mut Server, key: &Key, reply: Reply) -> Handled {
    let task = server.task(&key.id)?;
    if task.init.phase() != Phase::Created || task.init.starting {
        return Err(wrong_phase(key, "only a created container can be started"));
    }
    let (runtime, id) = (task.runtime.clone(), key.id.clone());
    let job = Job::Start { id: id.clone(), reply };
    server.start_worker(job, limits::START, ChildIo::default(), move |_, reporter, _| {
        reporter.stage("start the container");
        runtime.start(&id)?;
        Ok(Outcome::default())
    })?;
    server.process(key)?.starting = true;
    Ok(Answer::Later)
}

pub(crate) fn finish(server: &mut Server, id: &str, reply: Reply, result: Result<Outcome, Fault>) {
    let key = Key::init(id);
    match result {
        Ok(_) => started(server, &key, reply),
        Err(fault) => {
            server.answer(reply, Err(fault.in_container(id)));
            release_exit(server, &key);
        }
    }
}

fn start_exec(server: &mut Server, key: &Key, reply: Reply) -> Handled {
    let namespace = server.settings.namespace.clone();
    let task = server.task(&key.id)?;
    if task.init.phase() != Phase::Running {
        return Err(wrong_phase(key, "the container does not run"));
    }
    let runtime = task.runtime.clone();
    let process = server.process(key)?;
    if process.phase() != Phase::Creating || process.starting {
        return Err(wrong_phase(key, "the exec was started already"));
    }
    let spec = process.spec.clone();
    let opened = io::open(&process.stdio)?;
    process.io = opened.io;
    let id = key.id.clone();
    let job = Job::StartExec { key: key.clone(), reply };
    server.start_worker(job, limits::EXEC, opened.child, move |token, reporter, io| {
        reporter.stage("start the logger");
        let logger = start_logger(token, io.logger, &namespace, &id)?;
        reporter.stage("enter the container");
        let pid = runtime.exec(token, &id, &spec, io.stdio)?;
        Ok(Outcome { pid, logger, ..Outcome::default() })
    })?;
    let outputs = opened.outputs.into_iter().map(|stream| server.add_stream(stream, key)).collect();
    let inputs = opened.input.into_iter().map(|stream| server.add_stream(stream, key)).collect();
    let process = server.process(key)?;
    (process.outputs, process.inputs) = (outputs, inputs);
    process.starting = true;
    Ok(Answer::Later)
}

pub(crate) fn finish_exec(server: &mut Server, key: &Key, reply: Reply, result: Result<Outcome, Fault>) {
    let result = result.and_then(|outcome| {
        let process = server.process(key)?;
        process.pid = Pid::from_raw(outcome.pid);
        process.logger = Pid::from_raw(outcome.logger);
        let (output, input) = io::attach_console(&mut process.io)?;
        let outputs: Vec<u32> = output.into_iter().map(|stream| server.add_stream(stream, key)).collect();
        let inputs: Vec<u32> = input.into_iter().map(|stream| server.add_stream(stream, key)).collect();
        let process = server.process(key)?;
        process.outputs.extend(outputs);
        process.inputs.extend(inputs);
        server.settle_early_end(key);
        Ok(())
    });
    match result {
        Ok(()) => started(server, key, reply),
        Err(fault) => {
            fail_exec(server, key);
            server.answer(reply, Err(fault.in_container(&key.id).in_exec(&key.exec_id)));
        }
    }
}

/// The exec never ran. It stays, stopped, until it is deleted, as with containerd's own shim.
fn fail_exec(server: &mut Server, key: &Key) {
    let Ok(process) = server.process(key) else { return };
    process.starting = false;
    let streams: Vec<u32> = process.outputs.drain(..).chain(process.inputs.drain(..)).collect();
    if let Some(pid) = process.pid {
        // It runs but its terminal cannot be served: nobody could ever reach it.
        if let Err(errno) = rustix::process::kill_process(pid, rustix::process::Signal::KILL) {
            let fault = Fault::new(Layer::Shim, "exec", "cannot kill an exec that failed").because(&errno);
            server.log.warn(&fault.in_container(&key.id));
        }
    }
    streams.into_iter().for_each(|id| server.drop_stream(id));
    release_exit(server, key);
}

fn started(server: &mut Server, key: &Key, reply: Reply) {
    let Ok(process) = server.process(key) else { return };
    process.started_at = Some(SystemTime::now());
    let pid = process.pid_number();
    server.events.started(key, pid);
    server.answer(reply, Ok(wire::StartResponse { pid }.encode_to_vec()));
    release_exit(server, key);
}

/// Start is over: an end that was seen meanwhile is told now.
fn release_exit(server: &mut Server, key: &Key) {
    let Ok(process) = server.process(key) else { return };
    process.starting = false;
    if let Some((code, at)) = process.held_exit.take() {
        server.ended(key, code, at);
    }
}
