//! The terminal's master side as it arrives from the runtime.

use plimsoll_fault::{Fault, Layer};
use rustix::net::{RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags};
use std::io::IoSliceMut;
use std::mem::MaybeUninit;
use std::os::fd::{BorrowedFd, OwnedFd};

/// Takes the pty master that the runtime has sent over `socket`. The sender is done, so nothing is waited for.
pub(crate) fn receive_master(socket: BorrowedFd<'_>) -> Result<OwnedFd, Fault> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(1))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let mut name = [0; 4096];
    let flags = RecvFlags::DONTWAIT | RecvFlags::CMSG_CLOEXEC;
    rustix::net::recvmsg(socket, &mut [IoSliceMut::new(&mut name)], &mut control, flags).map_err(|errno| {
        fault("cannot receive the terminal").because(&errno).syscall("recvmsg", "", errno.raw_os_error())
    })?;
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(mut fds) = message
            && let Some(master) = fds.next()
        {
            return Ok(master);
        }
    }
    Err(fault("the runtime sent no terminal"))
}

fn fault(what: &str) -> Fault {
    Fault::new(Layer::Shim, "stdio", what)
}
