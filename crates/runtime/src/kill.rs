//! `kill`: a signal to a container's init or to all of its processes.

use crate::Root;
use plimsoll_fault::{Fault, Kind, Layer};

/// Sends `signal` (a Linux number) to the init, or with `all` to every process of the container's cgroup. A stopped
/// container is a `FailedPrecondition` fault whose text contains "container not running".
pub fn kill(root: &Root, id: &str, signal: i32, all: bool) -> Result<(), Fault> {
    let _ = (root, id, signal, all);
    Err(Fault::new(Layer::OciRuntime, "kill", "kill is not there yet").kind(Kind::Unimplemented))
}
