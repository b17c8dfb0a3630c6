//! The real distribution registry on loopback, with its own storage.

use crate::until;
use crate::{Scratch, peers};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::process::{Child, Stdio};

/// A running registry (plain HTTP, no authentication unless configured); killed when dropped.
#[derive(Debug)]
pub struct Registry {
    address: SocketAddr,
    child: Child,
}

impl Registry {
    /// Starts one with its storage in the scratch.
    ///
    /// # Panics
    /// When the program is not here, or does not answer in ten seconds.
    pub fn start(scratch: &Scratch) -> Registry {
        Registry::start_with(scratch, "")
    }

    /// The same with more lines for its config file (e.g. an `auth:` section).
    ///
    /// # Panics
    /// As [`Registry::start`].
    pub fn start_with(scratch: &Scratch, more: &str) -> Registry {
        let address = free_address();
        let port = address.port();
        let storage = scratch.dir(&format!("registry-{port}"));
        let config = format!(
            "version: 0.1\nlog:\n  level: warn\nstorage:\n  filesystem:\n    rootdirectory: {}\n  delete:\n    enabled: true\nhttp:\n  addr: {address}\n{more}\n",
            storage.display()
        );
        let config = scratch.file(&format!("registry-{port}.yml"), config);
        let log = std::fs::File::create(scratch.join(format!("registry-{port}.log"))).expect("log file");
        let mut command = scratch.command(peers::need("docker-registry"));
        command.arg("serve").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        let child = command.spawn().expect("start the registry");
        let registry = Registry { address, child };
        wait_for(address);
        registry
    }

    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// `127.0.0.1:PORT/name:tag`.
    pub fn reference(&self, name_and_tag: &str) -> String {
        format!("{}/{name_and_tag}", self.address)
    }
}

impl Drop for Registry {
    fn drop(&mut self) {
        // Both fail only when it is dead already.
        drop(self.child.kill());
        drop(self.child.wait());
    }
}

/// A loopback address whose port is free at the moment.
///
/// # Panics
/// When no port is free.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|l| l.local_addr()).expect("a free port")
}

fn wait_for(address: SocketAddr) {
    until("an answer of the registry", || TcpStream::connect(address).is_ok());
}
