//! PodSandboxStatus.

use super::SandboxStatus;
use crate::Core;
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// The sandbox with this id or unique id prefix. `verbose` fills `info`.
pub async fn status(core: &Core, namespace: &str, id: &str, verbose: bool) -> Result<SandboxStatus> {
    Err(Fault::new(Layer::Daemon, "status", "not there yet").kind(Kind::Unimplemented))
}
