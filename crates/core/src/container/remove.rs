//! RemoveContainer: forgets a container and everything made for it.

use crate::Core;

use plimsoll_fault::{Fault, Kind, Layer, Result};

/// Kills the container if it runs and removes it. An unknown container is not an error.
pub async fn remove(core: &Core, namespace: &str, id: &str) -> Result<()> {
    Err(Fault::new(Layer::Daemon, "remove", "not there yet").kind(Kind::Unimplemented))
}
