//! ListPodSandbox.

use super::{Sandbox, SandboxFilter};
use crate::Core;
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// The sandboxes that match, oldest first.
pub fn list(core: &Core, namespace: &str, filter: &SandboxFilter) -> Result<Vec<Sandbox>> {
    Err(Fault::new(Layer::Daemon, "list", "not there yet").kind(Kind::Unimplemented))
}
