//! `delete`: removes everything a container left: processes of its cgroup, cgroup, state; runs poststop hooks.

use crate::Root;
use plimsoll_fault::{Fault, Kind, Layer};

/// Refuses a running container unless `force`, which kills it first and takes an absent container as deleted.
pub fn delete(root: &Root, id: &str, force: bool) -> Result<(), Fault> {
    let _ = (root, id, force);
    Err(Fault::new(Layer::OciRuntime, "delete", "delete is not there yet").kind(Kind::Unimplemented))
}
