//! SandboxStatus: whether the pod's namespaces are there.

use super::{SandboxPhase, named};
use crate::server::{Call, Handled, Server, answer, decode};
use crate::task::timestamp;
use plimsoll_proto::shim::sandbox as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::SandboxStatusRequest = decode(call)?;
    let sandbox = named(server, &request.sandbox_id)?;
    let ready = sandbox.phase == SandboxPhase::Ready;
    answer(&wire::SandboxStatusResponse {
        sandbox_id: sandbox.id.clone(),
        pid: sandbox.pid(),
        state: if ready { "SANDBOX_READY" } else { "SANDBOX_NOTREADY" }.to_owned(),
        created_at: sandbox.created_at.map(timestamp),
        exited_at: sandbox.exit.map(|(_, at)| timestamp(at)),
        ..Default::default()
    })
}
