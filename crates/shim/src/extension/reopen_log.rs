//! ReopenLog: the container's log files are opened again by name, between two lines.

use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_fault::{Fault, Layer};
use plimsoll_proto::shim::extension as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::ReopenLogRequest = decode(call)?;
    for log in &server.task(&request.id)?.init.io.logs {
        let mut log = log.borrow_mut();
        if let Err(error) = log.reopen() {
            let path = log.path().to_string_lossy().into_owned();
            let errno = error.raw_os_error().unwrap_or(0);
            let fault = Fault::new(Layer::Shim, "reopen-log", format!("cannot open {path} again"));
            return Err(fault.because(&error).syscall("open", &path, errno).in_container(&request.id));
        }
    }
    answer(&wire::ReopenLogResponse {})
}
