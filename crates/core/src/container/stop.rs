//! StopContainer: the stop signal, a grace period, then SIGKILL.

use crate::Core;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::time::Duration;

/// Stops a container. Unknown or exited containers are not an error. A zero grace period kills at once.
pub async fn stop(core: &Core, namespace: &str, id: &str, grace: Duration) -> Result<()> {
    Err(Fault::new(Layer::Daemon, "stop", "not there yet").kind(Kind::Unimplemented))
}
