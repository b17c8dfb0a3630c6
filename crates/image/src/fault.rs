//! The faults of this crate's own disk work: one place decides that a full disk is told apart.

use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::fs::DirBuilder;
use std::io::Error;
use std::os::unix::fs::DirBuilderExt;
use std::path::Path;

const ENOSPC: i32 = 28;
const EDQUOT: i32 = 122;

/// A failed disk operation of the store.
pub(crate) fn io_fault(phase: &str, what: &str, error: &Error) -> Fault {
    let fault = Fault::new(Layer::Store, phase, what).because(error);
    let Some(errno) = error.raw_os_error() else { return fault };
    let fault = fault.detail(|detail| detail.errno = Some(errno));
    match errno {
        ENOSPC | EDQUOT => fault.kind(Kind::ResourceExhausted).hint("the disk of the store is full"),
        _ => fault,
    }
}

/// Stored data is not what it must be.
pub(crate) fn lost(phase: &str, what: &str) -> Fault {
    Fault::new(Layer::Store, phase, what).kind(Kind::DataLoss)
}

/// Makes a folder and its parents, 0700.
pub(crate) fn make_folder(path: &Path) -> Result<()> {
    let made = DirBuilder::new().recursive(true).mode(0o700).create(path);
    made.map_err(|error| io_fault("open", &format!("cannot make the folder {}", path.display()), &error))
}

/// The text of a foreign byte string for messages, bounded.
pub(crate) fn shown(bytes: &[u8]) -> String {
    const MOST: usize = 200;
    let text = String::from_utf8_lossy(&bytes[..bytes.len().min(MOST)]);
    let dots = if bytes.len() > MOST { "…" } else { "" };
    format!("{text:?}{dots}")
}
