//! The shim's socket: a short name in a 0700 folder, and who may talk to it.

use plimsoll_fault::{Fault, Kind, Layer};
use rustix::net::{AddressFamily, SocketAddrUnix, SocketFlags, SocketType};
use std::fs::DirBuilder;
use std::os::fd::OwnedFd;
use std::os::unix::fs::{DirBuilderExt, MetadataExt};
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};

/// Calls that may wait to be accepted.
const BACKLOG: i32 = 64;

/// The socket of a pod's shim: the name says nothing and has a fixed length, since a socket path has at most 107 bytes.
/// It must stay the same for a pod whatever build of the shim asks.
pub(crate) fn socket_path(folder: &Path, daemon: &str, namespace: &str, group: &str) -> PathBuf {
    let mut hash = Fnv::new();
    for part in [daemon, namespace, group] {
        hash.eat(part.as_bytes());
        // A byte that is in no part keeps ("a", "bc") and ("ab", "c") apart.
        hash.eat(&[0]);
    }
    folder.join(format!("{:032x}", hash.0))
}

/// FNV-1a with 128 bits.
struct Fnv(u128);

impl Fnv {
    fn new() -> Self {
        Self(0x6c62_272e_07bb_0142_62b8_2175_6295_c58d)
    }

    fn eat(&mut self, bytes: &[u8]) {
        for &byte in bytes {
            self.0 = (self.0 ^ u128::from(byte)).wrapping_mul(0x0000_0000_0100_0000_0000_0000_0000_013b);
        }
    }
}

/// Somebody listens there.
pub(crate) fn reachable(path: &Path) -> bool {
    UnixStream::connect(path).is_ok()
}

/// Makes the folder and listens at `path`, in the place of a socket that nobody listens at any more.
pub(crate) fn bind(path: &Path) -> Result<OwnedFd, Fault> {
    let cannot = |what: &str, e: &dyn std::error::Error| {
        Fault::new(Layer::Shim, "start", format!("cannot {what} {}", path.display())).why(e.to_string())
    };
    if let Some(folder) = path.parent() {
        private_folder(folder)?;
    }
    if let Err(e) = std::fs::remove_file(path)
        && e.kind() != std::io::ErrorKind::NotFound
    {
        return Err(cannot("remove the dead socket", &e));
    }
    let flags = SocketFlags::CLOEXEC | SocketFlags::NONBLOCK;
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::STREAM, flags, None)
        .map_err(|e| cannot("make a socket for", &e))?;
    let address = SocketAddrUnix::new(path).map_err(|e| cannot("use the socket path", &e))?;
    rustix::net::bind(&socket, &address).map_err(|e| cannot("bind", &e))?;
    rustix::net::listen(&socket, BACKLOG).map_err(|e| cannot("listen at", &e))?;
    Ok(socket)
}

fn private_folder(folder: &Path) -> Result<(), Fault> {
    let fault = |what: String| Fault::new(Layer::Shim, "start", what);
    DirBuilder::new()
        .recursive(true)
        .mode(0o700)
        .create(folder)
        .map_err(|e| fault(format!("cannot make the socket folder {}", folder.display())).because(&e))?;
    let found = std::fs::metadata(folder)
        .map_err(|e| fault(format!("cannot stat the socket folder {}", folder.display())).because(&e))?;
    let ours = rustix::process::geteuid().as_raw();
    if found.uid() != ours || found.mode() & 0o022 != 0 {
        return Err(fault(format!("others may write to the socket folder {}", folder.display()))
            .kind(Kind::PermissionDenied)
            .hint("it must belong to the shim's user and be 0700"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn socket_names_are_short_stable_and_differ() {
        let path = |daemon, namespace, group| socket_path(Path::new("/s"), daemon, namespace, group);
        assert_eq!(path("d", "n", "g").to_string_lossy().len(), "/s/".len() + 32);
        assert_eq!(path("d", "n", "g"), path("d", "n", "g"));
        assert_ne!(path("d", "na", "g"), path("d", "n", "ag"));
    }
}
