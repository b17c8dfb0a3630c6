//! ResizePty: the size of a process's terminal.

use super::{Key, wrong_phase};
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_fault::{Fault, Layer};
use plimsoll_proto::shim::task as wire;
use rustix::termios::{Winsize, tcsetwinsize};

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::ResizePtyRequest = decode(call)?;
    let key = Key::new(&request.id, &request.exec_id);
    let process = server.process(&key)?;
    let Some(console) = &process.io.console else {
        return Err(wrong_phase(&key, "the process has no terminal"));
    };
    let cells = |value: u32| u16::try_from(value).unwrap_or(u16::MAX);
    let size = Winsize { ws_row: cells(request.height), ws_col: cells(request.width), ws_xpixel: 0, ws_ypixel: 0 };
    tcsetwinsize(console, size)
        .map_err(|e| Fault::new(Layer::Shim, "resize", "cannot resize the terminal").because(&e))?;
    answer(&())
}
