//! ShutdownSandbox: stops the sandbox if that was not done, and ends the shim.

use super::{SandboxPhase, named, stop};
use crate::server::{Answer, Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::sandbox as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::ShutdownSandboxRequest = decode(call)?;
    if server.sandbox.is_none() && server.tasks.is_empty() {
        // Started for a pod whose CreateSandbox never came or failed: there is nothing to keep the shim for.
        server.ending = true;
        return answer(&wire::ShutdownSandboxResponse {});
    }
    let sandbox = named(server, &request.sandbox_id)?;
    if !matches!(sandbox.phase, SandboxPhase::Stopped | SandboxPhase::Created) {
        stop::begin(server, call.reply, true)?;
        return Ok(Answer::Later);
    }
    server.sandbox = None;
    server.ending = true;
    answer(&wire::ShutdownSandboxResponse {})
}
