//! StopSandbox: ends what still runs in the pod and unpins its namespaces. Repeating it is no error.

use super::{SandboxPhase, Stopping, named, namespaces, tell_exit};
use crate::io::ChildIo;
use crate::server::{Answer, Call, Handled, Reply, Server, answer, decode};
use crate::worker::{Job, Outcome, limits};
use plimsoll_fault::{Fault, Layer};
use plimsoll_proto::shim::sandbox as wire;
use rustix::process::{Pid, Signal, kill_process};

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::StopSandboxRequest = decode(call)?;
    let sandbox = named(server, &request.sandbox_id)?;
    if sandbox.phase == SandboxPhase::Stopped {
        return answer(&wire::StopSandboxResponse {});
    }
    begin(server, call.reply, false)?;
    Ok(Answer::Later)
}

/// Kills every container of the pod and its PID 1, and has a worker take the pins away.
pub(super) fn begin(server: &mut Server, reply: Reply, shutdown: bool) -> Result<(), Fault> {
    let inits: Vec<Pid> =
        server.tasks.values().filter(|task| task.init.exit.is_none()).filter_map(|task| task.init.pid).collect();
    let Some(sandbox) = &mut server.sandbox else { return Ok(()) };
    let plan = sandbox.plan.clone();
    sandbox.phase = SandboxPhase::Stopping;
    for pid in inits.into_iter().chain(sandbox.init) {
        if let Err(errno) = kill_process(pid, Signal::KILL) {
            let fault = Fault::new(Layer::Shim, "sandbox", "cannot kill a process of the pod").because(&errno);
            server.log.warn(&fault);
        }
    }
    let job = Job::StopSandbox { reply, shutdown };
    server.start_worker(job, limits::SANDBOX, ChildIo::default(), move |_, reporter, _| {
        reporter.stage("unpin the namespaces");
        namespaces::unpin(&plan)?;
        Ok(Outcome::default())
    })
}

pub(crate) fn finish(server: &mut Server, reply: Reply, shutdown: bool, result: Result<Outcome, Fault>) {
    let Some(sandbox) = &mut server.sandbox else { return };
    if let Err(fault) = result {
        let fault = fault.in_pod(&sandbox.id);
        return server.answer(reply, Err(fault));
    }
    sandbox.stopping = Some(Stopping { reply, shutdown });
    complete(server);
}

/// Answers a stop once both the pins and PID 1 are gone.
pub(super) fn complete(server: &mut Server) {
    let Some(sandbox) = &mut server.sandbox else { return };
    let Some(stopping) = sandbox.stopping.take_if(|_| sandbox.init.is_none()) else { return };
    sandbox.phase = SandboxPhase::Stopped;
    tell_exit(server, 0);
    // Both answers, of Stop and of Shutdown, are empty messages.
    server.answer(stopping.reply, Ok(Vec::new()));
    if stopping.shutdown {
        server.sandbox = None;
        server.ending = true;
    }
}
