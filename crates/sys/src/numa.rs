//! NUMA memory policy of the calling thread.

use crate::errno;
use rustix::io::Errno;

/// `set_mempolicy`. `mode` is one of `MPOL_*` with its `MPOL_F_*` flags; `nodes` is a bit mask, lowest node first. Empty means no
/// nodes. `ENOSYS`: a kernel without NUMA. `EINVAL`: a mode or flag that the kernel has not, or no node that it has.
pub fn set_policy(mode: u32, nodes: &[u64]) -> Result<(), Errno> {
    // The kernel wants one more than the number of bits it shall read.
    let bits = if nodes.is_empty() { 0 } else { nodes.len() * 64 + 1 };
    let pointer = if nodes.is_empty() { std::ptr::null() } else { nodes.as_ptr() };
    // SAFETY: the kernel reads `bits - 1` bits, which is all of the slice.
    let got = unsafe { libc::syscall(libc::SYS_set_mempolicy, mode, pointer, bits) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}
