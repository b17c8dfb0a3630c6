//! Resume: lets the processes of a paused container go on.

use super::{Key, wrong_phase};
use crate::server::{Answer, Call, Handled, Reply, Server, decode};
use crate::worker::{Job, Outcome, limits};
use plimsoll_fault::Fault;
use plimsoll_proto::shim::task as wire;
use plimsoll_runtime::{Root, Stdio};

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::ResumeRequest = decode(call)?;
    let key = Key::init(&request.id);
    let task = server.task(&key.id)?;
    if !task.paused {
        return Err(wrong_phase(&key, "the container is not paused"));
    }
    let (root, id) = (task.root.clone(), key.id.clone());
    let job = Job::Resume { id: key.id, reply: call.reply };
    server.start_worker(job, limits::FREEZE, Stdio::Inherit, move |_, reporter, _| {
        reporter.stage("thaw the container");
        plimsoll_runtime::resume(&Root::open(root)?, &id)?;
        Ok(Outcome::default())
    })?;
    Ok(Answer::Later)
}

pub(crate) fn finish(server: &mut Server, id: &str, reply: Reply, result: Result<Outcome, Fault>) {
    if result.is_ok()
        && let Ok(task) = server.task(id)
    {
        task.paused = false;
        server.events.resumed(id);
    }
    server.answer(reply, result.map(|_| Vec::new()).map_err(|fault| fault.in_container(id)));
}
