//! `ROOT/lock`: one process owns a root; the file says which.

use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::fs::{File, OpenOptions, TryLockError};
use std::io::{Read, Seek, Write};
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;

/// The owner's lock; released by the kernel when the process ends, however it ends.
pub(super) struct RootLock {
    _file: File,
}

impl RootLock {
    pub(super) fn take(root: &Path) -> Result<Self> {
        let path = root.join("lock");
        let fault = |what: &str, error: &std::io::Error| {
            Fault::new(Layer::Store, "open", format!("cannot {what} {}", path.display())).because(error)
        };
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .mode(0o600)
            .open(&path)
            .map_err(|error| fault("open", &error))?;
        match file.try_lock() {
            Ok(()) => {}
            Err(TryLockError::WouldBlock) => return Err(owned_by_another(&mut file, root)),
            Err(TryLockError::Error(error)) => return Err(fault("lock", &error)),
        }
        let pid = format!("{}\n", std::process::id());
        file.set_len(0).and_then(|()| file.write_all(pid.as_bytes())).map_err(|error| fault("write", &error))?;
        Ok(Self { _file: file })
    }
}

fn owned_by_another(file: &mut File, root: &Path) -> Fault {
    let mut pid = String::new();
    let read = file.rewind().and_then(|()| file.take(32).read_to_string(&mut pid));
    let owner = match (read, pid.trim()) {
        (Ok(_), text) if !text.is_empty() => format!("process {text}"),
        _ => "another process".to_owned(),
    };
    Fault::new(Layer::Store, "open", format!("root folder {} is owned by {owner}", root.display()))
        .kind(Kind::FailedPrecondition)
        .hint("one process owns a root: stop the other, or ask it")
}
