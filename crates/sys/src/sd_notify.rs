//! systemd's readiness protocol (sd_notify(3)): datagrams to the socket that `NOTIFY_SOCKET` names.

use crate::message;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use std::ffi::OsStr;
use std::io;
use std::os::fd::AsFd;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// The variable that names the supervisor's socket.
pub const VARIABLE: &str = "NOTIFY_SOCKET";

/// Who waits to be told.
#[derive(Debug)]
pub struct Supervisor(UnixDatagram);

impl Supervisor {
    /// The one of the environment. `None` without one.
    pub fn of_environment() -> io::Result<Option<Self>> {
        let name = std::env::var_os(VARIABLE).filter(|name| !name.is_empty());
        name.map(|name| Self::connect(&name)).transpose()
    }

    /// `name` is a path, or `@` and an abstract name. `Unsupported`: neither.
    pub fn connect(name: &OsStr) -> io::Result<Self> {
        let address = match name.as_bytes() {
            [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
            [b'/', ..] => SocketAddr::from_pathname(name)?,
            _ => return Err(io::Error::new(io::ErrorKind::Unsupported, format!("{VARIABLE} is neither / nor @"))),
        };
        let socket = UnixDatagram::unbound()?;
        socket.connect_addr(&address)?;
        Ok(Self(socket))
    }

    /// Tells `state` (`READY=1`, `STOPPING=1`).
    pub fn tell(&self, state: &str) -> io::Result<()> {
        let sent = self.0.send(state.as_bytes())?;
        if sent == state.len() { Ok(()) } else { Err(io::ErrorKind::WriteZero.into()) }
    }

    /// Waits until everything that was told has been read, at most for `limit`: of somebody who ends before that, systemd does not
    /// know any more which unit it was (`BARRIER=1`).
    pub fn settle(&self, limit: Timespec) -> io::Result<()> {
        let (ours, theirs) = rustix::pipe::pipe_with(rustix::pipe::PipeFlags::CLOEXEC)?;
        message::send_fd(&self.0, b"BARRIER=1", theirs.as_fd())?;
        drop(theirs);
        loop {
            match poll(&mut [PollFd::new(&ours, PollFlags::IN)], Some(&limit)) {
                Ok(_) => return Ok(()),
                Err(rustix::io::Errno::INTR) => {}
                Err(error) => return Err(error.into()),
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn told(socket: &UnixDatagram) -> String {
        let mut buffer = [0; 32];
        let length = socket.recv(&mut buffer).expect("received");
        String::from_utf8_lossy(&buffer[..length]).into_owned()
    }

    #[test]
    fn reaches_abstract_and_named_sockets() {
        let name = format!("plimsoll-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("name fits");
        let abstract_end = UnixDatagram::bind_addr(&address).expect("binds");
        let supervisor = Supervisor::connect(OsStr::new(&format!("@{name}"))).expect("there");
        supervisor.tell("READY=1").expect("sent");
        assert_eq!(told(&abstract_end), "READY=1");
        let path = std::env::temp_dir().join(&name);
        let named_end = UnixDatagram::bind(&path).expect("binds");
        let supervisor = Supervisor::connect(path.as_os_str()).expect("there");
        std::fs::remove_file(&path).expect("removed");
        supervisor.tell("STOPPING=1").expect("sent");
        assert_eq!(told(&named_end), "STOPPING=1");
    }

    #[test]
    fn settles_when_everything_is_read() {
        let (ours, theirs) = UnixDatagram::pair().expect("a pair");
        let supervisor = Supervisor(ours);
        let reader = std::thread::spawn(move || (told(&theirs), told(&theirs)));
        supervisor.tell("READY=1").expect("sent");
        supervisor.settle(Timespec { tv_sec: 60, tv_nsec: 0 }).expect("settled");
        assert_eq!(reader.join().expect("read"), ("READY=1".to_owned(), "BARRIER=1".to_owned()));
    }

    #[test]
    fn a_strange_address_is_refused() {
        Supervisor::connect(OsStr::new("vsock:2:3")).expect_err("unsupported");
    }
}
