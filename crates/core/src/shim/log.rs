//! What foreign shims log: each writes to the FIFO `log` in its folder, and stands still when nobody reads it.

use plimsoll_fault::{Fault, Layer, Result};
use std::path::Path;
use tokio::io::{AsyncBufReadExt, AsyncReadExt, BufReader};
use tokio::net::unix::pipe;
use tokio::task::AbortHandle;

/// Longest line that is passed on whole.
const LINE: u64 = 8 << 10;

/// Makes the FIFO if it is not there, and passes its lines to the daemon's log until the reader is aborted: it holds both ends, and
/// does not end with the shim, whose last words it is to read.
///
/// # Errors
/// The FIFO cannot be made or opened.
pub(crate) fn follow(folder: &Path, id: &str) -> Result<AbortHandle> {
    let path = folder.join("log");
    let open = || {
        match plimsoll_sys::fifo::create(&path) {
            Err(error) if error.kind() != std::io::ErrorKind::AlreadyExists => return Err(error),
            _ => {}
        }
        // Both ends: it does not end when the shim does.
        pipe::OpenOptions::new().read_write(true).open_receiver(&path)
    };
    let receiver = open().map_err(|e| Fault::new(Layer::Shim, "start", "cannot read the shim's log").because(&e))?;
    let id = id.to_owned();
    let reader = tokio::spawn(async move {
        let mut reader = BufReader::new(receiver);
        let mut line = Vec::new();
        while let Ok(1..) = (&mut reader).take(LINE).read_until(b'\n', &mut line).await {
            tracing::debug!(sandbox = id, "shim: {}", String::from_utf8_lossy(&line).trim_end());
            line.clear();
        }
    });
    Ok(reader.abort_handle())
}
