//! ContainerStatus.

use super::ContainerStatus;
use crate::Core;
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// The container with this id or unique id prefix. `verbose` fills `info`.
pub async fn status(core: &Core, namespace: &str, id: &str, verbose: bool) -> Result<ContainerStatus> {
    Err(Fault::new(Layer::Daemon, "status", "not there yet").kind(Kind::Unimplemented))
}
