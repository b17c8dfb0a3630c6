//! ContainerStats: processor, memory and writable layer of one container.

use super::ContainerStats;
use crate::Core;
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// What the container uses now. A container that does not run has only its writable layer.
pub async fn stats(core: &Core, namespace: &str, id: &str) -> Result<ContainerStats> {
    Err(Fault::new(Layer::Daemon, "stats", "not there yet").kind(Kind::Unimplemented))
}
