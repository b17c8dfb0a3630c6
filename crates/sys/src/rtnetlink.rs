//! As much of rtnetlink(7) as moving a network interface into another namespace takes: look at it, set it up or down, move it
//! under a new name, give it its addresses.

use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use rustix::process::Pid;
use std::os::fd::{AsFd, OwnedFd};

const NLMSG_ERROR: u16 = 2;
const NLMSG_DONE: u16 = 3;
const RTM_NEWLINK: u16 = 16;
const RTM_GETLINK: u16 = 18;
const RTM_NEWADDR: u16 = 20;
const RTM_GETADDR: u16 = 22;
const REQUEST: u16 = 1;
const ACK: u16 = 4;
const DUMP: u16 = 0x300;
const CREATE_EXCL: u16 = 0x600;
const IFLA_IFNAME: u16 = 3;
const IFLA_NET_NS_PID: u16 = 19;
const IFA_ADDRESS: u16 = 1;
const IFA_LOCAL: u16 = 2;
const IFA_BROADCAST: u16 = 4;
const IFA_FLAGS: u16 = 8;
const IFA_F_NODAD: u32 = 0x02;
const IFA_F_PERMANENT: u32 = 0x80;
const SCOPE_UNIVERSE: u8 = 0;
/// `struct nlmsghdr`, `struct ifinfomsg`, `struct ifaddrmsg`.
const HEADER: usize = 16;
const LINK: usize = 16;
const ADDRESS: usize = 8;
/// The kernel's dumps come in pieces of at most this.
const BUFFER: usize = 32 << 10;

/// `IFNAMSIZ` less the NUL.
pub const NAME_MAX: usize = 15;

/// A permanent address of global scope, as it can be given again.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Address {
    family: u8,
    prefix: u8,
    local: Vec<u8>,
    peer: Vec<u8>,
    broadcast: Vec<u8>,
}

/// A socket in the network namespace in which it was opened.
#[derive(Debug)]
pub struct Rtnetlink {
    socket: OwnedFd,
    sequence: u32,
}

impl Rtnetlink {
    pub fn open() -> Result<Self, Errno> {
        // NETLINK_ROUTE is protocol 0, which is "none".
        let socket = rustix::net::socket_with(AddressFamily::NETLINK, SocketType::RAW, SocketFlags::CLOEXEC, None)?;
        Ok(Self { socket, sequence: 0 })
    }

    /// The index of the interface. `ENODEV`: there is none of this name.
    pub fn index(&mut self, name: &str) -> Result<u32, Errno> {
        let mut body = link(0, 0, 0);
        attribute(&mut body, IFLA_IFNAME, &terminated(name)?);
        let mut found = None;
        self.exchange(RTM_GETLINK, ACK, &body, |kind, payload| {
            if kind == RTM_NEWLINK {
                found = number(payload, 4);
            }
        })?;
        found.ok_or(Errno::NODEV)
    }

    pub fn set_up(&mut self, index: u32, up: bool) -> Result<(), Errno> {
        const IFF_UP: u32 = 1;
        self.exchange(RTM_NEWLINK, ACK, &link(index, if up { IFF_UP } else { 0 }, IFF_UP), |_, _| {})
    }

    /// Moves the interface into the namespace of a process and renames it in one step, so that no name of that namespace or of
    /// this one can be in its way for a moment. `EEXIST`: the name is taken there.
    pub fn move_to(&mut self, index: u32, process: Pid, name: &str) -> Result<(), Errno> {
        let mut body = link(index, 0, 0);
        attribute(&mut body, IFLA_IFNAME, &terminated(name)?);
        attribute(&mut body, IFLA_NET_NS_PID, &process.as_raw_nonzero().get().to_ne_bytes());
        self.exchange(RTM_NEWLINK, ACK, &body, |_, _| {})
    }

    /// The interface's permanent addresses of global scope: the others belong to the namespace or to a lease.
    pub fn addresses(&mut self, index: u32) -> Result<Vec<Address>, Errno> {
        let mut out = Vec::new();
        self.exchange(RTM_GETADDR, DUMP, &[0; ADDRESS], |kind, payload| {
            if kind == RTM_NEWADDR && number(payload, 4) == Some(index) {
                out.extend(address(payload));
            }
        })?;
        Ok(out)
    }

    /// Gives the interface an address. `EEXIST`: it has it.
    pub fn add(&mut self, index: u32, address: &Address) -> Result<(), Errno> {
        let mut body = vec![address.family, address.prefix, 0, SCOPE_UNIVERSE];
        body.extend(index.to_ne_bytes());
        attribute(&mut body, IFA_LOCAL, &address.local);
        attribute(&mut body, IFA_ADDRESS, &address.peer);
        if !address.broadcast.is_empty() {
            attribute(&mut body, IFA_BROADCAST, &address.broadcast);
        }
        // It was this interface's already: nobody else has it.
        attribute(&mut body, IFA_FLAGS, &(IFA_F_PERMANENT | IFA_F_NODAD).to_ne_bytes());
        self.exchange(RTM_NEWADDR, ACK | CREATE_EXCL, &body, |_, _| {})
    }

    /// Sends one request and reads until it is acknowledged or its dump is done.
    fn exchange(&mut self, kind: u16, flags: u16, body: &[u8], mut each: impl FnMut(u16, &[u8])) -> Result<(), Errno> {
        self.sequence += 1;
        let length = u32::try_from(HEADER + body.len()).map_err(|_| Errno::INVAL)?;
        let mut request = Vec::with_capacity(HEADER + body.len());
        request.extend(length.to_ne_bytes());
        request.extend(kind.to_ne_bytes());
        request.extend((REQUEST | flags).to_ne_bytes());
        request.extend(self.sequence.to_ne_bytes());
        request.extend(0u32.to_ne_bytes());
        request.extend(body);
        rustix::net::send(&self.socket, &request, SendFlags::empty())?;
        let mut buffer = vec![0; BUFFER];
        loop {
            let (got, _) = match rustix::net::recv(self.socket.as_fd(), &mut buffer[..], RecvFlags::empty()) {
                Err(Errno::INTR) => continue,
                other => other?,
            };
            let mut rest = buffer.get(..got).ok_or(Errno::BADMSG)?;
            while let Some((kind, sequence, payload, next)) = message(rest) {
                rest = next;
                if sequence != self.sequence {
                    continue;
                }
                match kind {
                    NLMSG_DONE => return Ok(()),
                    NLMSG_ERROR => return acknowledged(payload),
                    other => each(other, payload),
                }
            }
        }
    }
}

/// An ifinfomsg.
fn link(index: u32, flags: u32, change: u32) -> Vec<u8> {
    let mut out = Vec::with_capacity(LINK);
    out.extend([0; 4]);
    for value in [index, flags, change] {
        out.extend(value.to_ne_bytes());
    }
    out
}

fn terminated(name: &str) -> Result<Vec<u8>, Errno> {
    let bytes = name.as_bytes();
    if bytes.is_empty() || bytes.len() > NAME_MAX || bytes.contains(&0) {
        return Err(Errno::INVAL);
    }
    Ok([bytes, &[0]].concat())
}

/// Appends an rtattr, padded to four bytes.
fn attribute(body: &mut Vec<u8>, kind: u16, value: &[u8]) {
    let length = u16::try_from(4 + value.len()).unwrap_or(u16::MAX);
    body.extend(length.to_ne_bytes());
    body.extend(kind.to_ne_bytes());
    body.extend(value);
    body.resize(body.len().next_multiple_of(4), 0);
}

/// Kind, sequence, payload and what follows.
fn message(bytes: &[u8]) -> Option<(u16, u32, &[u8], &[u8])> {
    let length = usize::try_from(number(bytes, 0)?).ok()?;
    let payload = bytes.get(HEADER..length)?;
    let next = bytes.get(length.next_multiple_of(4)..).unwrap_or_default();
    Some((u16::from_ne_bytes(bytes.get(4..6)?.try_into().ok()?), number(bytes, 8)?, payload, next))
}

fn number(bytes: &[u8], at: usize) -> Option<u32> {
    bytes.get(at..at + 4)?.try_into().ok().map(u32::from_ne_bytes)
}

/// An nlmsgerr: 0, or a negative errno.
fn acknowledged(payload: &[u8]) -> Result<(), Errno> {
    match number(payload, 0).map(u32::cast_signed) {
        Some(0) => Ok(()),
        Some(code) => Err(Errno::from_raw_os_error(code.wrapping_neg())),
        None => Err(Errno::BADMSG),
    }
}

/// None for an address that does not outlive a move.
fn address(payload: &[u8]) -> Option<Address> {
    let (family, prefix, short_flags, scope) =
        (*payload.first()?, *payload.get(1)?, *payload.get(2)?, *payload.get(3)?);
    let (mut local, mut peer, mut broadcast) = (Vec::new(), Vec::new(), Vec::new());
    let mut flags = u32::from(short_flags);
    let mut rest = payload.get(ADDRESS..)?;
    while let Some(length) = rest.get(..2).and_then(|b| b.try_into().ok()).map(u16::from_ne_bytes).map(usize::from) {
        let kind = u16::from_ne_bytes(rest.get(2..4)?.try_into().ok()?);
        let value = rest.get(4..length)?;
        match kind {
            IFA_LOCAL => local = value.to_vec(),
            IFA_ADDRESS => peer = value.to_vec(),
            IFA_BROADCAST => broadcast = value.to_vec(),
            IFA_FLAGS => flags = number(value, 0)?,
            _ => {}
        }
        rest = rest.get(length.next_multiple_of(4)..).unwrap_or_default();
    }
    // IPv6 without a peer has no IFA_LOCAL.
    if local.is_empty() {
        local.clone_from(&peer);
    }
    (flags & IFA_F_PERMANENT != 0 && scope == SCOPE_UNIVERSE && !peer.is_empty()).then_some(Address {
        family,
        prefix,
        local,
        peer,
        broadcast,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_loopback_is_found_and_has_no_global_address() {
        let mut route = Rtnetlink::open().expect("a socket");
        let index = route.index("lo").expect("lo");
        assert_eq!(index, 1);
        assert_eq!(route.addresses(index), Ok(Vec::new()));
        assert_eq!(route.index("no-such-link"), Err(Errno::NODEV));
        assert_eq!(route.index("a-name-that-is-too-long"), Err(Errno::INVAL));
    }

    #[test]
    fn addresses_are_read_as_they_are_written() {
        let mut payload = vec![2, 24, 0x80, 0];
        payload.extend(7u32.to_ne_bytes());
        attribute(&mut payload, IFA_ADDRESS, &[10, 0, 0, 1]);
        attribute(&mut payload, IFA_LOCAL, &[10, 0, 0, 1]);
        attribute(&mut payload, IFA_BROADCAST, &[10, 0, 0, 255]);
        let local = vec![10, 0, 0, 1];
        let want = Address { family: 2, prefix: 24, peer: local.clone(), local, broadcast: vec![10, 0, 0, 255] };
        assert_eq!(address(&payload), Some(want));
        payload[3] = 253;
        assert_eq!(address(&payload), None, "link scope");
        payload[3] = 0;
        payload[2] = 0;
        assert_eq!(address(&payload), None, "not permanent");
        assert_eq!(address(&payload[..9]), None, "cut");
    }
}
