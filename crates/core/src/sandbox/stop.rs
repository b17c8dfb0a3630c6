//! StopPodSandbox: containers, then the network, then the shim.

use crate::Core;

use plimsoll_fault::{Fault, Kind, Layer, Result};

/// Stops a sandbox and its containers. Unknown or stopped sandboxes are not an error.
pub async fn stop(core: &Core, namespace: &str, id: &str) -> Result<()> {
    Err(Fault::new(Layer::Daemon, "stop", "not there yet").kind(Kind::Unimplemented))
}
