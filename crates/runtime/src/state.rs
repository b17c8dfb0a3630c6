//! `state` and `list`: what the specification lets everybody ask.

use crate::Root;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::{Process, State};

/// The OCI state of one container. An unknown id is a `NotFound` fault whose text contains "does not exist".
pub fn state(root: &Root, id: &str) -> Result<State, Fault> {
    let _ = (root, id);
    Err(Fault::new(Layer::OciRuntime, "state", "state is not there yet").kind(Kind::Unimplemented))
}

/// Every container of the root, by id. One that vanishes meanwhile is left out.
pub fn list(root: &Root) -> Result<Vec<State>, Fault> {
    let _ = root;
    Err(Fault::new(Layer::OciRuntime, "list", "list is not there yet").kind(Kind::Unimplemented))
}

/// The `process` of the container's config as it was at create: the template of an exec that names only its arguments.
pub fn container_process(root: &Root, id: &str) -> Result<Process, Fault> {
    let _ = (root, id);
    Err(Fault::new(Layer::OciRuntime, "state", "process is not there yet").kind(Kind::Unimplemented))
}
