//! State: what a process is and how it ended.

use super::{Key, Phase, timestamp};
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::{task as wire, task_types::Status};

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::StateRequest = decode(call)?;
    let key = Key::new(&request.id, &request.exec_id);
    let task = server.task(&key.id)?;
    let (bundle, paused) = (task.runtime.bundle.to_string_lossy().into_owned(), task.paused && key.exec_id.is_empty());
    let process = server.process(&key)?;
    let status = match process.phase() {
        // An exec that was not started is there all the same.
        Phase::Creating | Phase::Created => Status::Created,
        Phase::Running if paused => Status::Paused,
        Phase::Running => Status::Running,
        Phase::Stopped => Status::Stopped,
    };
    answer(&wire::StateResponse {
        id: key.id,
        bundle,
        pid: process.pid_number(),
        status: status.into(),
        stdin: process.stdio.stdin.clone(),
        stdout: process.stdio.stdout.clone(),
        stderr: process.stdio.stderr.clone(),
        terminal: process.stdio.terminal,
        exit_status: process.exit.map_or(0, |exit| exit.code),
        exited_at: process.exit.map(|exit| timestamp(exit.at)),
        exec_id: key.exec_id,
    })
}
