//! The daemon's folders.

use crate::config::Config;
use plimsoll_fault::{Fault, Layer};
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;

/// Makes the root and state folders 0700. One that is there is tightened: pods' files and sockets lie in it.
pub(crate) fn make(config: &Config) -> Result<(), Fault> {
    private(config.root.as_path())?;
    private(config.state.as_path())?;
    let socket = config.socket_path();
    match socket.parent() {
        Some(parent) if !parent.exists() => private(parent),
        _ => Ok(()),
    }
}

fn private(path: &Path) -> Result<(), Fault> {
    let fault = |error: std::io::Error| {
        Fault::new(Layer::Daemon, "folders", format!("cannot make {} a private folder", path.display())).because(&error)
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(fault)
}
