//! Pause and Resume: stops every process of a container without ending any, and lets them go on.

use super::{Key, Phase, wrong_phase};
use crate::io::ChildIo;
use crate::server::{Answer, Call, Handled, Reply, Server, decode};
use crate::worker::{Job, Outcome, limits};
use plimsoll_fault::Fault;
use plimsoll_proto::shim::task as wire;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Verb {
    Pause,
    Resume,
}

pub(crate) fn handle_pause(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::PauseRequest = decode(call)?;
    start(server, request.id, Verb::Pause, call.reply)
}

pub(crate) fn handle_resume(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::ResumeRequest = decode(call)?;
    start(server, request.id, Verb::Resume, call.reply)
}

fn start(server: &mut Server, id: String, verb: Verb, reply: Reply) -> Handled {
    let task = server.task(&id)?;
    match verb {
        Verb::Pause if task.init.phase() != Phase::Running || task.paused => {
            return Err(wrong_phase(&Key::init(&id), "only a running container can be paused"));
        }
        Verb::Resume if !task.paused => return Err(wrong_phase(&Key::init(&id), "the container is not paused")),
        Verb::Pause | Verb::Resume => {}
    }
    let (runtime, name) = (task.runtime.clone(), id.clone());
    server.start_worker(
        Job::Freeze { id, verb, reply },
        limits::FREEZE,
        ChildIo::default(),
        move |_, reporter, _| {
            reporter.stage(match verb {
                Verb::Pause => "freeze the container",
                Verb::Resume => "thaw the container",
            });
            match verb {
                Verb::Pause => runtime.pause(&name)?,
                Verb::Resume => runtime.resume(&name)?,
            }
            Ok(Outcome::default())
        },
    )?;
    Ok(Answer::Later)
}

pub(crate) fn finish(server: &mut Server, id: &str, verb: Verb, reply: Reply, result: Result<Outcome, Fault>) {
    if result.is_ok()
        && let Ok(task) = server.task(id)
    {
        task.paused = verb == Verb::Pause;
        match verb {
            Verb::Pause => server.events.paused(id),
            Verb::Resume => server.events.resumed(id),
        }
    }
    server.answer(reply, result.map(|_| Vec::new()).map_err(|fault| fault.in_container(id)));
}
