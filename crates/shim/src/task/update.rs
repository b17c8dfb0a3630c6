//! Update: new limits for a container that is there.

use super::{Key, Phase, wrong_phase};
use crate::io::ChildIo;
use crate::server::{Answer, Call, Handled, Reply, Server, decode};
use crate::worker::{Job, Outcome, limits};
use plimsoll_fault::Fault;
use plimsoll_proto::shim::{task as wire, type_url};

/// In a worker: reclaiming memory for a smaller limit takes as long as it takes.
pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::UpdateTaskRequest = decode(call)?;
    let task = server.task(&request.id)?;
    if !matches!(task.init.phase(), Phase::Created | Phase::Running) {
        return Err(wrong_phase(&Key::init(&request.id), "the container has ended"));
    }
    let refused = |what: &str| Fault::invalid("update", what).in_container(&request.id);
    let given = request.resources.ok_or_else(|| refused("the resources are missing"))?;
    if given.type_url != type_url::OCI_RESOURCES {
        return Err(refused(&format!(
            "resources of type {:?}: {:?} is known",
            given.type_url,
            type_url::OCI_RESOURCES
        )));
    }
    let (runtime, id, reply) = (task.runtime.clone(), request.id, call.reply);
    let name = id.clone();
    server.start_worker(Job::Update { id, reply }, limits::UPDATE, ChildIo::default(), move |_, reporter, _| {
        reporter.stage("write the limits");
        runtime.update(&name, &given.value)?;
        Ok(Outcome::default())
    })?;
    Ok(Answer::Later)
}

pub(crate) fn finish(server: &mut Server, id: &str, reply: Reply, result: Result<Outcome, Fault>) {
    server.answer(reply, result.map(|_| Vec::new()).map_err(|fault| fault.in_container(id)));
}
