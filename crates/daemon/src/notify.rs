//! systemd's readiness protocol (sd_notify(3)): one datagram to the socket that NOTIFY_SOCKET names.

use std::ffi::OsStr;
use std::os::linux::net::SocketAddrExt;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::net::{SocketAddr, UnixDatagram};

/// Sends `state` (`READY=1`, `STOPPING=1`) when `socket` names one; no supervisor, nothing to do.
pub(crate) fn notify(socket: Option<&OsStr>, state: &str) -> std::io::Result<()> {
    let Some(name) = socket.map(OsStrExt::as_bytes).filter(|name| !name.is_empty()) else { return Ok(()) };
    let address = match name {
        [b'@', rest @ ..] => SocketAddr::from_abstract_name(rest)?,
        [b'/', ..] => SocketAddr::from_pathname(OsStr::from_bytes(name))?,
        _ => return Err(std::io::Error::new(std::io::ErrorKind::Unsupported, "NOTIFY_SOCKET is neither / nor @")),
    };
    let sent = UnixDatagram::unbound()?.send_to_addr(state.as_bytes(), &address)?;
    if sent == state.len() { Ok(()) } else { Err(std::io::ErrorKind::WriteZero.into()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reaches_abstract_and_named_sockets() {
        let name = format!("plimsoll-notify-{}", std::process::id());
        let address = SocketAddr::from_abstract_name(&name).expect("name fits");
        let abstract_end = UnixDatagram::bind_addr(&address).expect("binds");
        notify(Some(OsStr::new(&format!("@{name}"))), "READY=1").expect("sent");
        let path = std::env::temp_dir().join(&name);
        let named_end = UnixDatagram::bind(&path).expect("binds");
        notify(Some(path.as_os_str()), "STOPPING=1").expect("sent");
        std::fs::remove_file(&path).expect("removed");
        let mut buffer = [0; 32];
        let length = abstract_end.recv(&mut buffer).expect("received");
        assert_eq!(&buffer[..length], b"READY=1");
        let length = named_end.recv(&mut buffer).expect("received");
        assert_eq!(&buffer[..length], b"STOPPING=1");
    }

    #[test]
    fn without_supervisor_nothing_happens_and_a_strange_address_is_refused() {
        notify(None, "READY=1").expect("nothing to do");
        notify(Some(OsStr::new("vsock:2:3")), "READY=1").expect_err("unsupported");
    }
}
