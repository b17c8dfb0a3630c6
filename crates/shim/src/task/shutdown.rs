//! Shutdown: ends the shim, unless it still keeps a container or the sandbox.

use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::task as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::ShutdownRequest = decode(call)?;
    // Asked after each container of a pod; the last one counts.
    let idle = server.tasks.is_empty() && server.sandbox.is_none();
    server.ending |= idle || request.now;
    answer(&())
}
