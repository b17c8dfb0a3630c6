//! Device programs of cgroup v2: loading and attaching eBPF. What a program decides is the caller's business.

use crate::errno;
use rustix::io::Errno;
use std::os::fd::{AsFd, AsRawFd, FromRawFd, OwnedFd};

/// One eBPF instruction, laid out as the kernel's `struct bpf_insn`.
#[repr(C)]
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Instruction {
    pub code: u8,
    /// Destination register in the low four bits, source register in the high four.
    pub registers: u8,
    pub offset: i16,
    pub immediate: i32,
}

/// `union bpf_attr` of BPF_PROG_LOAD, up to `prog_flags`.
#[repr(C)]
struct Load {
    prog_type: u32,
    insn_cnt: u32,
    insns: u64,
    license: u64,
    log_level: u32,
    log_size: u32,
    log_buf: u64,
    kern_version: u32,
    prog_flags: u32,
}

/// `union bpf_attr` of BPF_PROG_ATTACH.
#[repr(C)]
struct Attach {
    target_fd: u32,
    attach_bpf_fd: u32,
    attach_type: u32,
    attach_flags: u32,
}

const BPF_PROG_LOAD: libc::c_int = 5;
const BPF_PROG_ATTACH: libc::c_int = 8;
const BPF_PROG_TYPE_CGROUP_DEVICE: u32 = 15;
const BPF_CGROUP_DEVICE: u32 = 6;
/// Programs of the groups above go on deciding too.
const BPF_F_ALLOW_MULTI: u32 = 2;

/// Loads a device program. RLIMIT_MEMLOCK is not touched: since Linux 5.11 the memory is accounted to the cgroup.
pub fn load_device_program(program: &[Instruction]) -> Result<OwnedFd, Errno> {
    let mut attr = Load {
        prog_type: BPF_PROG_TYPE_CGROUP_DEVICE,
        insn_cnt: u32::try_from(program.len()).map_err(|_| Errno::TOOBIG)?,
        insns: program.as_ptr() as u64,
        license: c"Apache-2.0".as_ptr() as u64,
        log_level: 0,
        log_size: 0,
        log_buf: 0,
        kern_version: 0,
        prog_flags: 0,
    };
    // SAFETY: the attribute, the instructions and the licence string outlive the call, the kernel only reads them, and
    // `Load` has the layout of the first fields of bpf_attr, whose size is given.
    let got = unsafe { bpf(BPF_PROG_LOAD, std::ptr::from_mut(&mut attr).cast(), std::mem::size_of::<Load>()) };
    let fd = libc::c_int::try_from(got).ok().filter(|fd| *fd >= 0).ok_or_else(errno::last)?;
    // SAFETY: a fresh descriptor (close-on-exec by the kernel) that nobody else owns.
    Ok(unsafe { OwnedFd::from_raw_fd(fd) })
}

/// Attaches it to the group whose folder is `group`, for as long as the group exists.
pub fn attach_device_program(program: impl AsFd, group: impl AsFd) -> Result<(), Errno> {
    let number = |fd: i32| u32::try_from(fd).map_err(|_| Errno::BADF);
    let mut attr = Attach {
        target_fd: number(group.as_fd().as_raw_fd())?,
        attach_bpf_fd: number(program.as_fd().as_raw_fd())?,
        attach_type: BPF_CGROUP_DEVICE,
        attach_flags: BPF_F_ALLOW_MULTI,
    };
    // SAFETY: the attribute outlives the call and is only read; `Attach` has the layout of bpf_attr's attach fields.
    let got = unsafe { bpf(BPF_PROG_ATTACH, std::ptr::from_mut(&mut attr).cast(), std::mem::size_of::<Attach>()) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// # Safety
/// `attr` must point to `size` bytes that are what `command` reads, with pointers in it valid for the call.
unsafe fn bpf(command: libc::c_int, attr: *mut libc::c_void, size: usize) -> libc::c_long {
    // SAFETY: forwarded from the caller.
    unsafe { libc::syscall(libc::SYS_bpf, command, attr, size) }
}
