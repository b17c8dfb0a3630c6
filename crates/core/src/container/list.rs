//! ListContainers.

use super::{Container, ContainerFilter};
use crate::Core;
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// The containers that match, oldest first.
pub fn list(core: &Core, namespace: &str, filter: &ContainerFilter) -> Result<Vec<Container>> {
    Err(Fault::new(Layer::Daemon, "list", "not there yet").kind(Kind::Unimplemented))
}
