//! RunPodSandbox: one straight path from the request to a ready pod.

use super::RunRequest;
use crate::Core;
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// Runs a sandbox and returns its id. A repeated request for the same pod name, uid, namespace and attempt joins the one under way.
pub async fn run(core: &Core, request: RunRequest) -> Result<String> {
    Err(Fault::new(Layer::Daemon, "run", "not there yet").kind(Kind::Unimplemented))
}
