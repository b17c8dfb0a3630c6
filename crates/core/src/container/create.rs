//! CreateContainer: assembles and stores the spec, prepares the snapshot. Starts nothing.

use super::CreateRequest;
use crate::Core;
use plimsoll_fault::{Fault, Kind, Layer, Result};

/// Creates a container and returns its id. A repeated request for the same sandbox, name and attempt joins the one under way.
pub async fn create(core: &Core, request: CreateRequest) -> Result<String> {
    Err(Fault::new(Layer::Daemon, "create", "not there yet").kind(Kind::Unimplemented))
}
