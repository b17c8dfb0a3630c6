//! Wait: answered when the process has ended.

use super::Key;
use crate::server::{Answer, Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::task as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::WaitRequest = decode(call)?;
    let process = server.process(&Key::new(&request.id, &request.exec_id))?;
    if let Some(ended) = process.wait_response() {
        return answer(&ended.wait);
    }
    process.waiters.push(call.reply);
    Ok(Answer::Later)
}
