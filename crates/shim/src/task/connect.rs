//! Connect: which process the shim is.

use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::task as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::ConnectRequest = decode(call)?;
    answer(&wire::ConnectResponse {
        shim_pid: std::process::id(),
        task_pid: server.tasks.get(&request.id).map_or(0, |task| task.init.pid_number()),
        version: env!("CARGO_PKG_VERSION").to_owned(),
    })
}
