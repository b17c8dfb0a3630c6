//! Messages with descriptors over unix sockets.

use rustix::io::Errno;
use rustix::net::{
    RecvAncillaryBuffer, RecvAncillaryMessage, RecvFlags, SendAncillaryBuffer, SendAncillaryMessage, SendFlags,
};
use std::io::{IoSlice, IoSliceMut};
use std::mem::MaybeUninit;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// What one message carries at most; the kernel's own limit is 253 (SCM_MAX_FD).
pub const FDS: usize = 64;

/// Sends `bytes` with one descriptor (`SCM_RIGHTS`).
pub fn send_fd(socket: impl AsFd, bytes: &[u8], fd: BorrowedFd<'_>) -> Result<(), Errno> {
    send_fds(socket, bytes, &[fd])
}

/// Sends `bytes` with at most [`FDS`] descriptors. `EINVAL`: more.
pub fn send_fds(socket: impl AsFd, bytes: &[u8], fds: &[BorrowedFd<'_>]) -> Result<(), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut control = SendAncillaryBuffer::new(&mut space);
    if !(fds.is_empty() || control.push(SendAncillaryMessage::ScmRights(fds))) {
        return Err(Errno::INVAL);
    }
    rustix::net::sendmsg(socket, &[IoSlice::new(bytes)], &mut control, SendFlags::NOSIGNAL).map(drop)
}

/// Receives bytes and at most one descriptor. 0 bytes without a descriptor is the end of the stream.
pub fn receive_fd(socket: impl AsFd, bytes: &mut [u8]) -> Result<(usize, Option<OwnedFd>), Errno> {
    receive_fds(socket, bytes).map(|(got, fds)| (got, fds.into_iter().next()))
}

/// Receives bytes and at most [`FDS`] descriptors, close-on-exec.
pub fn receive_fds(socket: impl AsFd, bytes: &mut [u8]) -> Result<(usize, Vec<OwnedFd>), Errno> {
    let mut space = [MaybeUninit::uninit(); rustix::cmsg_space!(ScmRights(FDS))];
    let mut control = RecvAncillaryBuffer::new(&mut space);
    let got = rustix::net::recvmsg(socket, &mut [IoSliceMut::new(bytes)], &mut control, RecvFlags::CMSG_CLOEXEC)?;
    let mut all = Vec::new();
    for message in control.drain() {
        if let RecvAncillaryMessage::ScmRights(fds) = message {
            all.extend(fds);
        }
    }
    Ok((got.bytes, all))
}
