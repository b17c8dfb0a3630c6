//! The daemon's unix socket: who may use it, and whether one that is there already has an owner.

use plimsoll_fault::{Fault, Kind, Layer};
use std::io::ErrorKind;
use std::os::unix::fs::{FileTypeExt, PermissionsExt};
use std::os::unix::net::{UnixListener, UnixStream};
use std::path::{Path, PathBuf};

/// A listening socket that removes its file when dropped.
#[derive(Debug)]
pub(crate) struct Socket {
    path: PathBuf,
    inode: u64,
}

impl Socket {
    /// Binds `path`: 0600, or 0660 for group `gid`. A socket without a listener is replaced; anything else is refused.
    /// To be called before threads exist: the umask is changed for the moment of binding.
    pub(crate) fn bind(path: &Path, gid: Option<u32>) -> Result<(Self, UnixListener), Fault> {
        remove_stale(path)?;
        let before = rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o177));
        let bound = UnixListener::bind(path);
        rustix::process::umask(before);
        let listener = bound.map_err(|error| fault(path, "cannot listen on").because(&error))?;
        if gid.is_some() {
            std::os::unix::fs::chown(path, None, gid)
                .and_then(|()| std::fs::set_permissions(path, std::fs::Permissions::from_mode(0o660)))
                .map_err(|error| fault(path, "cannot give the group its socket").because(&error))?;
        }
        listener.set_nonblocking(true).map_err(|error| fault(path, "cannot prepare").because(&error))?;
        Ok((Self { path: path.to_owned(), inode: inode(path)? }, listener))
    }
}

impl Drop for Socket {
    fn drop(&mut self) {
        // Only our own: another daemon may have replaced it since.
        if inode(&self.path).is_ok_and(|now| now == self.inode)
            && let Err(error) = std::fs::remove_file(&self.path)
        {
            tracing::warn!(socket = %self.path.display(), %error, "socket not removed");
        }
    }
}

fn inode(path: &Path) -> Result<u64, Fault> {
    std::fs::symlink_metadata(path)
        .map(|meta| std::os::unix::fs::MetadataExt::ino(&meta))
        .map_err(|error| fault(path, "cannot stat").because(&error))
}

fn remove_stale(path: &Path) -> Result<(), Fault> {
    let meta = match std::fs::symlink_metadata(path) {
        Ok(meta) => meta,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(fault(path, "cannot stat").because(&error)),
    };
    if !meta.file_type().is_socket() {
        return Err(fault(path, "will not replace what is not a socket:").kind(Kind::AlreadyExists));
    }
    match UnixStream::connect(path) {
        Ok(stream) => Err(in_use(path, &stream)),
        Err(error) if error.kind() == ErrorKind::ConnectionRefused => {
            std::fs::remove_file(path).map_err(|error| fault(path, "cannot remove the stale").because(&error))
        }
        Err(error) => Err(fault(path, "cannot tell who owns").because(&error)),
    }
}

fn in_use(path: &Path, stream: &UnixStream) -> Fault {
    let owner = rustix::net::sockopt::socket_peercred(stream)
        .map_or_else(|_| "another process".to_owned(), |peer| format!("process {}", peer.pid.as_raw_nonzero()));
    fault(path, &format!("{owner} listens on")).kind(Kind::AlreadyExists)
}

fn fault(path: &Path, what: &str) -> Fault {
    Fault::new(Layer::Daemon, "socket", format!("{what} {}", path.display()))
        .detail(|d| d.path = Some(path.display().to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(name: &str) -> PathBuf {
        std::env::temp_dir().join(format!("plimsoll-socket-{}-{name}", std::process::id()))
    }

    #[test]
    fn a_stale_socket_is_replaced_and_a_live_one_is_not() {
        let path = place("live");
        drop(UnixListener::bind(&path).expect("a socket without owner"));
        let (socket, _listener) = Socket::bind(&path, None).expect("replaces it");
        assert_eq!(std::fs::metadata(&path).expect("there").permissions().mode() & 0o777, 0o600);
        let fault = Socket::bind(&path, None).expect_err("has an owner");
        assert!(fault.to_string().contains(&format!("process {} listens on", std::process::id())), "{fault}");
        drop(socket);
        assert!(!path.exists());
    }

    #[test]
    fn what_is_not_a_socket_is_left_alone() {
        let path = place("file");
        std::fs::write(&path, "precious").expect("written");
        Socket::bind(&path, None).expect_err("not a socket");
        assert_eq!(std::fs::read_to_string(&path).expect("still there"), "precious");
        std::fs::remove_file(&path).expect("removed");
    }
}
