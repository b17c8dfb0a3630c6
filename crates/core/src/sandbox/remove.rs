//! RemovePodSandbox: forgets a sandbox and everything made for it.

use crate::Core;

use plimsoll_fault::{Fault, Kind, Layer, Result};

/// Stops what still runs and removes sandbox and containers. An unknown sandbox is not an error.
pub async fn remove(core: &Core, namespace: &str, id: &str) -> Result<()> {
    Err(Fault::new(Layer::Daemon, "remove", "not there yet").kind(Kind::Unimplemented))
}
