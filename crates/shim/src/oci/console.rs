//! `--console-socket`: the runtime connects to a path and sends the terminal's master, which goes on to the server.

use plimsoll_fault::{Fault, Layer};
use plimsoll_sys::message;
use std::fs::File;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::os::unix::net::UnixListener;
use std::path::{Path, PathBuf};

#[derive(Debug)]
pub(super) struct Console {
    path: PathBuf,
    /// `path` by way of this process's own descriptor of the folder, which stays open: a bundle's path may be longer than a
    /// sun_path.
    short: PathBuf,
    _folder: File,
    listener: UnixListener,
    /// Where the server waits.
    server: OwnedFd,
}

impl Console {
    pub(super) fn listen(path: PathBuf, server: OwnedFd) -> Result<Self, Fault> {
        let cannot = |error: &std::io::Error| fault("cannot make a console socket").because(error);
        let folder = File::open(path.parent().unwrap_or(Path::new("/"))).map_err(|e| cannot(&e))?;
        let mut short = PathBuf::from(format!("/proc/{}/fd/{}", std::process::id(), folder.as_raw_fd()));
        short.push(path.file_name().unwrap_or_default());
        let listener = UnixListener::bind(&short).map_err(|e| cannot(&e))?;
        listener.set_nonblocking(true).map_err(|e| cannot(&e))?;
        Ok(Self { path, short, _folder: folder, listener, server })
    }

    /// For the runtime.
    pub(super) fn address(&self) -> &Path {
        &self.short
    }

    /// The runtime is done, so what it sent is there: nothing is waited for.
    pub(super) fn pass_on(self) -> Result<(), Fault> {
        let none = || fault("the runtime sent no terminal");
        let (connection, _) = self.listener.accept().map_err(|e| none().because(&e))?;
        connection.set_nonblocking(true).map_err(|e| none().because(&e))?;
        let mut name = [0; 4096];
        let (length, master) = message::receive_fd(&connection, &mut name).map_err(|e| none().because(&e))?;
        let master = master.ok_or_else(none)?;
        // A stream carries no descriptor without a byte.
        let name = if length == 0 { &b"console"[..] } else { &name[..length] };
        message::send_fd(&self.server, name, master.as_fd())
            .map_err(|e| fault("cannot pass on the terminal").because(&e))
    }
}

impl Drop for Console {
    fn drop(&mut self) {
        // What cannot be removed goes with the bundle.
        drop(std::fs::remove_file(&self.path));
    }
}

fn fault(what: &str) -> Fault {
    Fault::new(Layer::Shim, "console", what)
}
