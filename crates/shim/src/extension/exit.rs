//! Exit: how a process ended, without waiting.

use crate::server::{Call, Handled, Server, answer, decode};
use crate::task::{Key, Process, timestamp};
use plimsoll_proto::shim::extension as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::ExitRequest = decode(call)?;
    answer(&of(server.process(&Key::new(&request.id, &request.exec_id))?))
}

pub(super) fn of(process: &Process) -> wire::ExitResponse {
    let started_at = process.started_at.map(timestamp);
    match process.exit {
        None => wire::ExitResponse { started_at, ..Default::default() },
        Some(exit) => wire::ExitResponse {
            exited: true,
            exit_code: exit.code,
            exited_at: Some(timestamp(exit.at)),
            oom_killed: exit.oom_killed,
            reason: exit.reason().to_owned(),
            started_at,
        },
    }
}
