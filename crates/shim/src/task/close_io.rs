//! CloseIO: the client will write no more standard input; the process sees its end when everybody has closed the FIFO.

use super::Key;
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::task as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::CloseIoRequest = decode(call)?;
    let process = server.process(&Key::new(&request.id, &request.exec_id))?;
    if request.stdin {
        process.io.stdin_keeper = None;
    }
    answer(&())
}
