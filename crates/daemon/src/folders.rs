//! The daemon's folders, and who owns the volatile one (the root's lock is the database's).

use crate::config::Config;
use plimsoll_fault::{Fault, Kind, Layer};
use rustix::fs::FlockOperation;
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::Path;
use std::time::{Duration, Instant};

/// A daemon that was killed while it started a program is survived by its locks until that program is executed.
const LAST_BREATH: Duration = Duration::from_secs(1);
const POLL: Duration = Duration::from_millis(10);

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

/// Held as long as the daemon lives: recovery removes what its records do not own, so no two may share a state folder.
#[derive(Debug)]
pub(crate) struct StateLock {
    _file: File,
}

/// Takes the state folder.
pub(crate) fn own_state(config: &Config) -> Result<StateLock, Fault> {
    let path = config.state.as_path().join("lock");
    let fault = |what: &str| Fault::new(Layer::Daemon, "folders", format!("{what} {}", path.display()));
    let open = File::options().create(true).truncate(false).write(true).open(&path);
    let file = open.map_err(|error| fault("cannot open").because(&error))?;
    let until = Instant::now() + LAST_BREATH;
    loop {
        match rustix::fs::flock(&file, FlockOperation::NonBlockingLockExclusive) {
            Ok(()) => return Ok(StateLock { _file: file }),
            Err(rustix::io::Errno::WOULDBLOCK) if Instant::now() < until => std::thread::sleep(POLL),
            Err(rustix::io::Errno::WOULDBLOCK) => {
                let hint = "each daemon needs a state folder of its own: --state";
                return Err(fault("another daemon holds").kind(Kind::AlreadyExists).hint(hint));
            }
            Err(errno) => return Err(fault("cannot lock").because(&errno)),
        }
    }
}

fn private(path: &Path) -> Result<(), Fault> {
    let fault = |error: std::io::Error| {
        Fault::new(Layer::Daemon, "folders", format!("cannot make {} a private folder", path.display())).because(&error)
    };
    std::fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(fault)?;
    std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o700)).map_err(fault)
}
