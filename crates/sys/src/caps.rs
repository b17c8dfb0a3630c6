//! Capabilities: names, sets as bit masks, and putting them on the calling thread.

use rustix::io::Errno;
use rustix::thread::{CapabilitySet, CapabilitySets};

/// Kernel names in number order (linux/capability.h).
pub const NAMES: [&str; 41] = [
    "CAP_CHOWN",
    "CAP_DAC_OVERRIDE",
    "CAP_DAC_READ_SEARCH",
    "CAP_FOWNER",
    "CAP_FSETID",
    "CAP_KILL",
    "CAP_SETGID",
    "CAP_SETUID",
    "CAP_SETPCAP",
    "CAP_LINUX_IMMUTABLE",
    "CAP_NET_BIND_SERVICE",
    "CAP_NET_BROADCAST",
    "CAP_NET_ADMIN",
    "CAP_NET_RAW",
    "CAP_IPC_LOCK",
    "CAP_IPC_OWNER",
    "CAP_SYS_MODULE",
    "CAP_SYS_RAWIO",
    "CAP_SYS_CHROOT",
    "CAP_SYS_PTRACE",
    "CAP_SYS_PACCT",
    "CAP_SYS_ADMIN",
    "CAP_SYS_BOOT",
    "CAP_SYS_NICE",
    "CAP_SYS_RESOURCE",
    "CAP_SYS_TIME",
    "CAP_SYS_TTY_CONFIG",
    "CAP_MKNOD",
    "CAP_LEASE",
    "CAP_AUDIT_WRITE",
    "CAP_AUDIT_CONTROL",
    "CAP_SETFCAP",
    "CAP_MAC_OVERRIDE",
    "CAP_MAC_ADMIN",
    "CAP_SYSLOG",
    "CAP_WAKE_ALARM",
    "CAP_BLOCK_SUSPEND",
    "CAP_AUDIT_READ",
    "CAP_PERFMON",
    "CAP_BPF",
    "CAP_CHECKPOINT_RESTORE",
];

/// Bit number of a name such as `CAP_CHOWN`.
pub fn number(name: &str) -> Option<u8> {
    NAMES.iter().position(|known| *known == name).and_then(|n| u8::try_from(n).ok())
}

/// Bit masks of the five sets.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Sets {
    pub bounding: u64,
    pub effective: u64,
    pub inheritable: u64,
    pub permitted: u64,
    pub ambient: u64,
}

/// Drops from the bounding set what is not in `keep`. `EPERM`: no CAP_SETPCAP.
pub fn limit_bounding(keep: u64) -> Result<(), Errno> {
    for (bit, _) in NAMES.iter().enumerate() {
        let bit = 1u64 << bit;
        if keep & bit != 0 {
            continue;
        }
        match rustix::thread::remove_capability_from_bounding_set(CapabilitySet::from_bits_retain(bit)) {
            // EINVAL: this kernel does not know the capability, so nobody can have it.
            Ok(()) | Err(Errno::INVAL) => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

/// Sets effective, permitted and inheritable as given, then exactly the ambient set. `EPERM`: a capability is asked for that
/// the thread does not have.
pub fn apply(sets: &Sets) -> Result<(), Errno> {
    let mask = CapabilitySet::from_bits_retain;
    rustix::thread::set_capabilities(
        None,
        CapabilitySets {
            effective: mask(sets.effective),
            permitted: mask(sets.permitted),
            inheritable: mask(sets.inheritable),
        },
    )?;
    rustix::thread::clear_ambient_capability_set()?;
    for (bit, _) in NAMES.iter().enumerate().filter(|(bit, _)| sets.ambient & (1 << bit) != 0) {
        rustix::thread::configure_capability_in_ambient_set(mask(1 << bit), true)?;
    }
    Ok(())
}

/// The calling thread's permitted set.
pub fn permitted() -> Result<u64, Errno> {
    Ok(rustix::thread::capabilities(None)?.permitted.bits())
}

#[cfg(test)]
mod tests {
    #[test]
    fn numbers_are_the_kernels() {
        assert_eq!(super::number("CAP_CHOWN"), Some(0));
        assert_eq!(super::number("CAP_SYS_ADMIN"), Some(21));
        assert_eq!(super::number("CAP_CHECKPOINT_RESTORE"), Some(40));
        assert_eq!(super::number("chown"), None);
    }
}
