//! StartContainer: the OCI create and start.

use crate::Core;

use plimsoll_fault::{Fault, Kind, Layer, Result};

/// Starts a created container.
pub async fn start(core: &Core, namespace: &str, id: &str) -> Result<()> {
    Err(Fault::new(Layer::Daemon, "start", "not there yet").kind(Kind::Unimplemented))
}
