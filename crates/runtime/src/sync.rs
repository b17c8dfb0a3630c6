//! What parent and container process say to each other while a process is being made. One packet is one message. A seccomp filter
//! goes from parent to child as one packet on a channel of its own (`kept_filter`): it is ready when it is ready.
//!
//! | from   | message   | carries  | meaning                                                                     |
//! |--------|-----------|----------|-----------------------------------------------------------------------------|
//! | child  | `Born`    | pid      | of a go-between on a channel of its own: the container's process is made    |
//! | parent | `Placed`  |          | systemd has put the child into its cgroup: go on (with that driver only)    |
//! | parent | `Mapped`  |          | the new user namespace has its mappings: become its root                    |
//! | parent | `Trees`   | descriptors | with a user namespace: what the root is made of; none: take it yourself  |
//! | child  | `Entered` |          | namespaces entered: move network devices into them                          |
//! | parent | `Moved`   |          | they are there (only after `Entered`)                                       |
//! | child  | `Mounted` |          | the root is built, not yet entered: run prestart and createRuntime hooks    |
//! | parent | `Enter`   |          | those hooks succeeded: go on (only after `Mounted`)                         |
//! | child  | `Listener`| a number | a filter that notifies is loaded: take its listener, my descriptor of that number |
//! | parent | `Give`    |          | I may not take it: send it (then the descriptor itself comes, with no message) |
//! | parent | `Taken`   |          | I have it, its agent will answer (only after `Listener` or what `Give` brought) |
//! | child  | `Ready`   |          | everything done but the exec; waits (of an exec: never sent)                |
//! | parent | `Execute` |          | go (`run`: on the same channel, ahead of `Ready` if it can be; `create`: from `start`, over its socket) |
//! | child  | `Failed`  | `Fault`  | could not go on; the child exits after it                                   |
//! | child  | *closed*  |          | the program is being executed: the channel is close-on-exec                 |

use plimsoll_fault::{Fault, Layer};
use plimsoll_sys::message;
use rustix::event::{PollFd, PollFlags, poll};
use rustix::io::Errno;
use rustix::net::{AddressFamily, RecvFlags, SendFlags, SocketFlags, SocketType};
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};

/// One message of the table above.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Message {
    Born(i32),
    Mapped,
    Trees,
    Placed,
    Entered,
    Moved,
    Mounted,
    Enter,
    Listener(i32),
    Give,
    Taken,
    Ready,
    Execute,
    Failed(Fault),
}

/// One end.
#[derive(Debug)]
pub(crate) struct Channel(OwnedFd);

/// A fault is cut to this before it is sent: the packet must fit the socket's buffer.
const LIMIT: usize = 8 * 1024;

impl Channel {
    /// Both ends, close-on-exec.
    pub(crate) fn pair() -> Result<(Self, Self), Errno> {
        let (a, b) = rustix::net::socketpair(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)?;
        Ok((Self(a), Self(b)))
    }

    pub(crate) fn from_socket(socket: OwnedFd) -> Self {
        Self(socket)
    }

    pub(crate) fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }

    pub(crate) fn send(&self, message: &Message) -> Result<(), Errno> {
        let bytes = encode(message);
        // The sender of this one is under the filter already: write is the one call that no filter may hold up.
        if matches!(message, Message::Listener(_)) {
            return rustix::io::write(self.0.as_fd(), &bytes).map(drop);
        }
        rustix::net::send(self.0.as_fd(), &bytes, SendFlags::NOSIGNAL).map(drop)
    }

    /// [`Message::Trees`], in as many packets as they need.
    pub(crate) fn send_trees(&self, trees: &[BorrowedFd<'_>]) -> Result<(), Errno> {
        if trees.is_empty() {
            return self.send(&Message::Trees);
        }
        trees.chunks(message::FDS).try_for_each(|some| message::send_fds(&self.0, &encode(&Message::Trees), some))
    }

    /// What [`Self::send_trees`] sent: `wanted` of them, or none. `ECONNRESET`: the other end is closed.
    pub(crate) fn receive_trees(&self, wanted: usize) -> Result<Vec<OwnedFd>, Errno> {
        let mut trees = Vec::new();
        while trees.len() < wanted {
            let mut tag = [0u8; 16];
            let (length, some) = message::receive_fds(&self.0, &mut tag)?;
            match tag.get(..length).map(decode) {
                Some(Some(Message::Trees)) if some.is_empty() => return Ok(Vec::new()),
                Some(Some(Message::Trees)) => trees.extend(some),
                _ if length == 0 => return Err(Errno::CONNRESET),
                _ => return Err(Errno::BADMSG),
            }
        }
        Ok(trees)
    }

    /// One packet that is no message.
    pub(crate) fn send_bytes(&self, bytes: &[u8]) -> Result<(), Errno> {
        rustix::net::send(self.0.as_fd(), bytes, SendFlags::NOSIGNAL).map(drop)
    }

    /// A packet of at most `limit` bytes; empty when the other end is closed.
    pub(crate) fn receive_bytes(&self, limit: usize) -> Result<Vec<u8>, Errno> {
        let mut buffer = Vec::with_capacity(limit);
        loop {
            match rustix::net::recv(self.0.as_fd(), rustix::buffer::spare_capacity(&mut buffer), RecvFlags::empty()) {
                Ok(_) => return Ok(buffer),
                // The other end closed with something of ours unread. Said once; what it sent before is still to come.
                Err(Errno::INTR | Errno::CONNRESET) => {}
                Err(error) => return Err(error),
            }
        }
    }

    /// A descriptor in answer to `Give`.
    pub(crate) fn give(&self, fd: impl AsFd) -> Result<(), Errno> {
        message::send_fd(self.0.as_fd(), b"fd", fd.as_fd())
    }

    /// What [`Self::give`] sent, or the message that came in its place.
    pub(crate) fn take(&self) -> Result<(Option<OwnedFd>, Option<Message>), Errno> {
        let mut buffer = vec![0u8; LIMIT];
        let (length, fd) = message::receive_fd(self.0.as_fd(), &mut buffer)?;
        Ok((fd, buffer.get(..length).and_then(decode)))
    }

    /// The next message, or none when the other end is closed.
    pub(crate) fn receive(&self) -> Result<Option<Message>, Errno> {
        match self.receive_bytes(LIMIT)? {
            packet if packet.is_empty() => Ok(None),
            packet => decode(&packet).map(Some).ok_or(Errno::BADMSG),
        }
    }

    /// Until the other end is closed: what it has sent is then read without waiting. Its messages wake nobody, because each
    /// wake of a processor that sleeps costs the sender.
    pub(crate) fn await_close(&self) -> Result<(), Errno> {
        let mut fds = [PollFd::new(&self.0, PollFlags::empty())];
        loop {
            match poll(&mut fds, None) {
                Ok(_) => return Ok(()),
                Err(Errno::INTR) => {}
                Err(error) => return Err(error),
            }
        }
    }
}

fn encode(message: &Message) -> Vec<u8> {
    match message {
        Message::Born(pid) => [b"B", &pid.to_le_bytes()[..]].concat(),
        Message::Mapped => vec![b'U'],
        Message::Trees => vec![b'T'],
        Message::Placed => vec![b'P'],
        Message::Entered => vec![b'E'],
        Message::Moved => vec![b'e'],
        Message::Mounted => vec![b'M'],
        Message::Enter => vec![b'm'],
        Message::Listener(number) => [b"L", number.to_ne_bytes().as_slice()].concat(),
        Message::Give => vec![b'g'],
        Message::Taken => vec![b'l'],
        Message::Ready => vec![b'R'],
        Message::Execute => vec![b'X'],
        Message::Failed(fault) => {
            let mut json = fault.to_json();
            if json.len() >= LIMIT {
                let what: String = fault.what().chars().take(LIMIT / 8).collect();
                json = Fault::new(fault.layer().clone(), fault.phase(), what).to_json();
            }
            let mut bytes = vec![b'F'];
            bytes.extend(json.into_bytes());
            bytes
        }
    }
}

fn decode(bytes: &[u8]) -> Option<Message> {
    let (tag, rest) = bytes.split_first()?;
    Some(match tag {
        b'B' => Message::Born(i32::from_le_bytes(rest.try_into().ok()?)),
        b'U' => Message::Mapped,
        b'T' => Message::Trees,
        b'P' => Message::Placed,
        b'E' => Message::Entered,
        b'e' => Message::Moved,
        b'M' => Message::Mounted,
        b'm' => Message::Enter,
        b'L' => Message::Listener(i32::from_ne_bytes(rest.try_into().ok()?)),
        b'g' => Message::Give,
        b'l' => Message::Taken,
        b'R' => Message::Ready,
        b'X' => Message::Execute,
        b'F' => {
            let text = std::str::from_utf8(rest).ok()?;
            Message::Failed(Fault::from_json(text).unwrap_or_else(|| {
                Fault::new(Layer::OciRuntime, "sync", "the container process failed and its report cannot be read")
            }))
        }
        _ => return None,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_message_survives_the_line() {
        let fault = Fault::new(Layer::OciRuntime, "mount", "cannot mount").syscall("fsmount", "/proc", 1);
        let (a, b) = Channel::pair().expect("a pair");
        let born =
            [Message::Placed, Message::Born(4711), Message::Mapped, Message::Entered, Message::Moved, Message::Mounted];
        let made =
            [Message::Enter, Message::Listener(7), Message::Give, Message::Taken, Message::Ready, Message::Execute];
        for message in born.into_iter().chain(made).chain([Message::Failed(fault)]) {
            a.send(&message).expect("sent");
            assert_eq!(b.receive().expect("received"), Some(message));
        }
        drop(a);
        assert_eq!(b.receive().expect("closed"), None);
    }

    /// The child failed before it read what was sent ahead.
    #[test]
    fn what_was_sent_before_a_reset_is_not_lost() {
        let (a, b) = Channel::pair().expect("a pair");
        b.send(&Message::Execute).expect("sent");
        a.send(&Message::Ready).expect("sent");
        drop(a);
        b.await_close().expect("closed");
        assert_eq!(b.receive().expect("received"), Some(Message::Ready));
        assert_eq!(b.receive().expect("closed"), None);
    }

    #[test]
    fn trees_come_whole_or_not_at_all() {
        let (a, b) = Channel::pair().expect("a pair");
        let many = vec![a.as_fd(); message::FDS + 1];
        a.send_trees(&many).expect("sent");
        assert_eq!(b.receive_trees(many.len()).expect("received").len(), many.len());
        a.send_trees(&[]).expect("sent");
        assert!(b.receive_trees(7).expect("received").is_empty());
        drop(a);
        assert_eq!(b.receive_trees(1).err(), Some(Errno::CONNRESET));
    }

    #[test]
    fn a_huge_fault_is_cut_not_lost() {
        let (a, b) = Channel::pair().expect("a pair");
        let fault = Fault::new(Layer::OciRuntime, "x", "y".repeat(1 << 20)).why("z".repeat(1 << 20));
        a.send(&Message::Failed(fault)).expect("sent");
        assert!(matches!(b.receive(), Ok(Some(Message::Failed(_)))));
    }
}
