//! Facts of this process and host that safe std does not tell.

use rustix::thread::{CapabilitySet, capability_is_in_bounding_set};

/// Numbers of the capabilities in the calling thread's bounding set.
pub fn bounding_set() -> Vec<u32> {
    let known = CapabilitySet::all().bits();
    (0..u64::BITS)
        .filter(|number| known & (1 << number) != 0)
        .filter(|number| capability_is_in_bounding_set(CapabilitySet::from_bits_retain(1 << number)).unwrap_or(false))
        .collect()
}

/// Major and minor number of a device id as `stat` gives it.
pub fn device_numbers(rdev: u64) -> (u32, u32) {
    (rustix::fs::major(rdev), rustix::fs::minor(rdev))
}

/// 32 random bytes as 64 hexadecimal digits, as ids of sandboxes and containers are written.
pub fn random_id() -> std::io::Result<String> {
    let mut bytes = [0u8; 32];
    let mut filled = 0;
    while filled < bytes.len() {
        filled += rustix::rand::getrandom(&mut bytes[filled..], rustix::rand::GetRandomFlags::empty())?;
    }
    Ok(bytes.iter().map(|byte| format!("{byte:02x}")).collect())
}
