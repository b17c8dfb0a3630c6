//! List: everything that the shim keeps, for a daemon that has just started.

use crate::server::{Call, Handled, Server, answer, decode};
use crate::task::{Process, Task};
use plimsoll_proto::shim::extension as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let wire::ListRequest {} = decode(call)?;
    let mut processes = Vec::new();
    for (id, task) in &server.tasks {
        processes.push(entry(id, "", task, &task.init));
        processes.extend(task.execs.iter().map(|(exec_id, process)| entry(id, exec_id, task, process)));
    }
    let sandbox_id = server.sandbox.as_ref().map(|sandbox| sandbox.id.clone()).unwrap_or_default();
    answer(&wire::ListResponse { processes, sandbox_id })
}

fn entry(id: &str, exec_id: &str, task: &Task, process: &Process) -> wire::Process {
    wire::Process {
        id: id.to_owned(),
        exec_id: exec_id.to_owned(),
        pid: process.pid_number(),
        bundle: task.runtime.bundle.to_string_lossy().into_owned(),
        started: process.started_at.is_some(),
        exit: Some(super::exit::of(process)),
    }
}
