//! The compiled seccomp filter of a container as bytes: handed to the container's process, which goes on while it is compiled,
//! and kept in the state folder, so that an exec loads it without compiling it again.

use crate::fault::At;
use crate::seccomp::Filter;
use crate::sync::Channel;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::seccomp::{Flags, Instruction};
use rustix::io::Errno;
use std::path::Path;

pub(crate) const FILE: &str = "seccomp.bpf";
/// The size of a `sock_filter`.
const SIZE: usize = 8;
/// Flags and `BPF_MAXINSNS` instructions.
const LIMIT: usize = 4 + 4096 * SIZE;

/// What [`encode`] made, for [`load`].
pub(crate) fn save(folder: &Path, bytes: &[u8]) -> Result<(), Fault> {
    let path = folder.join(FILE);
    std::fs::write(&path, bytes).at("save", "write", &path, || "cannot keep the seccomp filter".into())
}

/// What [`encode`] made, for [`take`] at the other end.
pub(crate) fn hand_over(channel: &Channel, bytes: &[u8]) -> Result<(), Fault> {
    match channel.send_bytes(bytes) {
        // The container's process has failed already, and says why on its own channel.
        Ok(()) | Err(Errno::PIPE | Errno::CONNRESET | Errno::CONNREFUSED) => Ok(()),
        Err(error) => Err(error).at("sync", "send", "", || "the container's process cannot be given its filter".into()),
    }
}

/// Waits for what [`hand_over`] sends.
pub(crate) fn take(channel: &Channel) -> Result<Filter, Fault> {
    let bytes = channel.receive_bytes(LIMIT).at("sync", "recv", "", || "the runtime cannot be heard".into())?;
    let damaged = || Fault::new(Layer::OciRuntime, "sync", "the runtime ended before it gave the seccomp filter");
    decode(&bytes).ok_or_else(damaged)
}

/// None when the container has no filter.
pub(crate) fn load(folder: &Path) -> Result<Option<Filter>, Fault> {
    let path = folder.join(FILE);
    let bytes = match std::fs::read(&path) {
        Ok(bytes) => bytes,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(error).at("load", "read", &path, || "cannot read the seccomp filter".into()),
    };
    decode(&bytes).map(Some).ok_or_else(|| {
        Fault::new(Layer::OciRuntime, "load", format!("{} is damaged", path.display())).kind(Kind::DataLoss)
    })
}

/// Flags, then the instructions, in this machine's byte order: they never leave it.
pub(crate) fn encode(filter: &Filter) -> Vec<u8> {
    let mut out = Vec::with_capacity(4 + filter.program.len() * SIZE);
    out.extend(filter.flags.bits().to_ne_bytes());
    for instruction in &filter.program {
        let [c0, c1] = instruction.code.to_ne_bytes();
        let [k0, k1, k2, k3] = instruction.k.to_ne_bytes();
        out.extend_from_slice(&[c0, c1, instruction.jt, instruction.jf, k0, k1, k2, k3]);
    }
    out
}

fn decode(bytes: &[u8]) -> Option<Filter> {
    let (flags, rest) = bytes.split_first_chunk::<4>()?;
    let one = |chunk: &[u8]| {
        let [c0, c1, jt, jf, k0, k1, k2, k3] = *chunk else { return None };
        let (code, k) = (u16::from_ne_bytes([c0, c1]), u32::from_ne_bytes([k0, k1, k2, k3]));
        Some(Instruction { code, jt, jf, k })
    };
    let program: Option<Vec<Instruction>> = rest.chunks(SIZE).map(one).collect();
    let program = program.filter(|p| !p.is_empty())?;
    Some(Filter { program, flags: Flags::from_bits(u32::from_ne_bytes(*flags)) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_kept_is_what_was_compiled() {
        let program = vec![
            Instruction { code: 0x20, jt: 0, jf: 0, k: 4 },
            Instruction { code: 0x15, jt: 1, jf: 7, k: 0xc000_003e },
        ];
        let filter = Filter { program, flags: Flags::LOG };
        let bytes = encode(&filter);
        assert_eq!(decode(&bytes), Some(filter));
        assert_eq!(decode(&bytes[..bytes.len() - 1]), None, "cut");
        assert_eq!(decode(&[]), None);
    }

    #[test]
    fn the_longest_filter_is_handed_over_and_a_parent_that_ends_is_noticed() {
        let program = vec![Instruction { code: 6, jt: 0, jf: 0, k: 7 }; 4096];
        let filter = Filter { program, flags: Flags::default() };
        let (ours, theirs) = Channel::pair().expect("a pair");
        hand_over(&ours, &encode(&filter)).expect("sent");
        assert_eq!(take(&theirs).expect("taken"), filter);
        drop(ours);
        take(&theirs).expect_err("the parent has ended");
    }

    #[test]
    fn a_child_that_has_failed_is_not_the_senders_fault() {
        let (ours, theirs) = Channel::pair().expect("a pair");
        drop(theirs);
        hand_over(&ours, &[0; 12]).expect("nothing to say");
    }
}
