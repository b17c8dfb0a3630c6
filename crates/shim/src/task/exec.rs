//! Exec: adds a process to a container; Start runs it.

use super::{Key, Phase, Process, wrong_phase};
use crate::io::StdioSpec;
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::task as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::ExecProcessRequest = decode(call)?;
    let key = Key::new(&request.id, &request.exec_id);
    let task = server.task(&key.id)?;
    if key.exec_id.is_empty() {
        return Err(Fault::invalid("exec", "an exec needs an exec_id").in_container(&key.id));
    }
    if task.execs.contains_key(&key.exec_id) {
        let fault = Fault::new(Layer::Shim, "exec", format!("exec {} is here already", key.exec_id));
        return Err(fault.kind(Kind::AlreadyExists).in_container(&key.id));
    }
    if task.init.phase() != Phase::Running {
        return Err(wrong_phase(&key, "the container does not run"));
    }
    let spec = request.spec.ok_or_else(|| Fault::invalid("exec", "the process to exec is missing"))?;
    let stdio =
        StdioSpec { stdin: request.stdin, stdout: request.stdout, stderr: request.stderr, terminal: request.terminal };
    let mut process = Process::new(stdio);
    process.spec = spec.value;
    task.execs.insert(key.exec_id.clone(), process);
    server.events.exec_added(&key);
    answer(&())
}
