//! `start`: lets a created container's init execute its program.

use crate::Root;
use plimsoll_fault::{Fault, Kind, Layer};

/// Returns once the program is being executed, or with the fault of the execution (`exec: "/x": not found`).
pub fn start(root: &Root, id: &str) -> Result<(), Fault> {
    let _ = (root, id);
    Err(Fault::new(Layer::OciRuntime, "start", "start is not there yet").kind(Kind::Unimplemented))
}
