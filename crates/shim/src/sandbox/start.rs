//! StartSandbox: makes and pins the pod's namespaces.

use super::{SandboxPhase, named, namespaces, wrong_phase};
use crate::io::ChildIo;
use crate::server::{Answer, Call, Handled, Reply, Server, decode};
use crate::task::timestamp;
use crate::worker::{Job, Outcome, limits};
use plimsoll_fault::Fault;
use plimsoll_proto::shim::sandbox as wire;
use prost::Message;
use rustix::process::Pid;
use std::time::SystemTime;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::StartSandboxRequest = decode(call)?;
    let sandbox = named(server, &request.sandbox_id)?;
    if sandbox.phase != SandboxPhase::Created {
        return Err(wrong_phase(&sandbox.id, "the sandbox was started already"));
    }
    let plan = sandbox.plan.clone();
    let job = Job::StartSandbox { reply: call.reply };
    server.start_worker(job, limits::SANDBOX, ChildIo::default(), move |token, reporter, _| {
        namespaces::make(token, reporter, &plan)
    })?;
    named(server, &request.sandbox_id)?.phase = SandboxPhase::Starting;
    Ok(Answer::Later)
}

pub(crate) fn finish(server: &mut Server, reply: Reply, result: Result<Outcome, Fault>) {
    let Some(sandbox) = &mut server.sandbox else { return };
    match result {
        Ok(outcome) => {
            let now = SystemTime::now();
            sandbox.phase = SandboxPhase::Ready;
            sandbox.created_at = Some(now);
            sandbox.init = Pid::from_raw(outcome.pid);
            let answer =
                wire::StartSandboxResponse { pid: sandbox.pid(), created_at: Some(timestamp(now)), spec: None };
            server.answer(reply, Ok(answer.encode_to_vec()));
        }
        Err(fault) => {
            sandbox.phase = SandboxPhase::Created;
            let fault = fault.in_pod(&sandbox.id);
            server.answer(reply, Err(fault));
        }
    }
}
