//! How the kernel schedules the calling thread: policy, IO priority, the CPUs it may run on.

use crate::errno;
use rustix::io::Errno;

/// What `sched_setattr` sets. Times are nanoseconds.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    /// `SCHED_*`.
    pub policy: u32,
    /// `SCHED_FLAG_*`.
    pub flags: u64,
    pub nice: i32,
    pub priority: u32,
    pub runtime: u64,
    pub deadline: u64,
    pub period: u64,
}

/// `struct sched_attr` of linux/sched/types.h, first version.
#[repr(C)]
struct SchedAttr {
    size: u32,
    policy: u32,
    flags: u64,
    nice: i32,
    priority: u32,
    runtime: u64,
    deadline: u64,
    period: u64,
}

/// `sched_setattr` of the calling thread. `EPERM`: a real-time policy or a lower nice value without CAP_SYS_NICE, or a deadline
/// policy for a thread whose CPUs are limited. `EBUSY`: the deadline cannot be met beside those already given.
pub fn set_attributes(attributes: &Attributes) -> Result<(), Errno> {
    let Attributes { policy, flags, nice, priority, runtime, deadline, period } = *attributes;
    let size = u32::try_from(size_of::<SchedAttr>()).map_err(|_| Errno::INVAL)?;
    let attr = SchedAttr { size, policy, flags, nice, priority, runtime, deadline, period };
    // SAFETY: the kernel reads `size` bytes of a struct that has exactly that size and outlives the call.
    let got = unsafe { libc::syscall(libc::SYS_sched_setattr, 0, std::ptr::from_ref(&attr), 0) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// `ioprio_set` of the calling thread. `class` is 1 (real time), 2 (best effort) or 3 (idle), `level` 0 to 7.
pub fn set_io_priority(class: u8, level: u8) -> Result<(), Errno> {
    const IOPRIO_WHO_PROCESS: libc::c_int = 1;
    const IOPRIO_CLASS_SHIFT: u32 = 13;
    let value = libc::c_int::from(class) << IOPRIO_CLASS_SHIFT | libc::c_int::from(level);
    // SAFETY: takes numbers only.
    let got = unsafe { libc::syscall(libc::SYS_ioprio_set, IOPRIO_WHO_PROCESS, 0, value) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// The most CPUs a kernel can be built for, rounded up.
pub const CPUS: usize = 8192;

/// A set of CPU numbers below [`CPUS`].
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct CpuSet(Vec<u64>);

impl CpuSet {
    /// Empty.
    pub fn new() -> Self {
        Self(vec![0; CPUS / 64])
    }

    /// False when the number is too large.
    #[must_use]
    pub fn insert(&mut self, cpu: usize) -> bool {
        let word = self.0.get_mut(cpu / 64);
        word.is_some_and(|word| {
            *word |= 1 << (cpu % 64);
            true
        })
    }

    pub fn is_empty(&self) -> bool {
        self.0.iter().all(|word| *word == 0)
    }
}

impl Default for CpuSet {
    fn default() -> Self {
        Self::new()
    }
}

/// The CPUs that the calling thread may run on. The kernel leaves out those that the machine or the thread's cpuset has not;
/// `EINVAL`: then none is left.
pub fn set_affinity(cpus: &CpuSet) -> Result<(), Errno> {
    affinity(&cpus.0)
}

/// Every CPU of the thread's cpuset, whatever was inherited.
pub fn reset_affinity() -> Result<(), Errno> {
    affinity(&[u64::MAX; CPUS / 64])
}

fn affinity(mask: &[u64]) -> Result<(), Errno> {
    // SAFETY: the kernel reads as many bytes as the slice has.
    let got = unsafe { libc::syscall(libc::SYS_sched_setaffinity, 0, size_of_val(mask), mask.as_ptr()) };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// The CPUs that the calling thread may run on now.
pub fn own_affinity() -> Result<CpuSet, Errno> {
    let mut set = CpuSet::new();
    // SAFETY: the kernel writes at most as many bytes as the vector has.
    let got =
        unsafe { libc::syscall(libc::SYS_sched_getaffinity, 0, size_of_val(set.0.as_slice()), set.0.as_mut_ptr()) };
    if got >= 0 { Ok(set) } else { Err(errno::last()) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn affinity_is_set_read_and_reset() {
        let before = own_affinity().expect("an affinity");
        let first = (0..CPUS).find(|cpu| before.0[cpu / 64] >> (cpu % 64) & 1 == 1).expect("a CPU");
        let mut one = CpuSet::new();
        assert!(one.is_empty() && one.insert(first) && !one.insert(CPUS));
        set_affinity(&one).expect("one CPU");
        assert_eq!(own_affinity(), Ok(one));
        reset_affinity().expect("all CPUs");
        let after = own_affinity().expect("an affinity");
        assert!(before.0.iter().zip(&after.0).all(|(was, is)| was & is == *was), "{before:?} {after:?}");
        assert_eq!(set_affinity(&CpuSet::new()), Err(Errno::INVAL));
    }

    #[test]
    fn the_kernel_takes_the_attributes() {
        const SCHED_BATCH: u32 = 3;
        std::thread::spawn(|| {
            set_attributes(&Attributes { policy: SCHED_BATCH, nice: 5, ..Attributes::default() }).expect("batch");
            assert_eq!(set_attributes(&Attributes { policy: 77, ..Attributes::default() }), Err(Errno::INVAL));
            set_io_priority(2, 7).expect("best effort");
            assert_eq!(set_io_priority(5, 0), Err(Errno::INVAL));
        })
        .join()
        .expect("a thread of its own");
    }
}
