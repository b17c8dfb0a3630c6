//! The time as records have it.

use std::time::{SystemTime, UNIX_EPOCH};

/// Nanoseconds since the epoch; 0 before it.
pub(crate) fn now() -> i64 {
    nanos(SystemTime::now())
}

pub(crate) fn nanos(time: SystemTime) -> i64 {
    time.duration_since(UNIX_EPOCH).map_or(0, |since| i64::try_from(since.as_nanos()).unwrap_or(i64::MAX))
}
