//! WaitSandbox: answered when the sandbox has stopped.

use super::named;
use crate::server::{Answer, Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::sandbox as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::WaitSandboxRequest = decode(call)?;
    let sandbox = named(server, &request.sandbox_id)?;
    if let Some(ended) = sandbox.wait_response() {
        return answer(&ended);
    }
    sandbox.waiters.push(call.reply);
    Ok(Answer::Later)
}
