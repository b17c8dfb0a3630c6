//! Waiting for what a test expects, and holding up what it must not see in time.

use crate::run;
use std::process::Command;
use std::time::{Duration, Instant};

/// Far longer than anything takes, even on a machine that has much else to do.
pub const LIMIT: Duration = Duration::from_secs(60);

/// Waits until `done`.
///
/// # Panics
/// When it never is.
#[track_caller]
pub fn until(what: &str, mut done: impl FnMut() -> bool) {
    let end = Instant::now() + LIMIT;
    while !done() {
        assert!(Instant::now() < end, "{what} did not happen");
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// What `look` gives once it is empty, or in the end though it is not.
pub fn none_left<T>(look: impl Fn() -> Vec<T>) -> Vec<T> {
    let end = Instant::now() + LIMIT / 2;
    loop {
        let left = look();
        if left.is_empty() || Instant::now() > end {
            return left;
        }
        std::thread::sleep(Duration::from_millis(20));
    }
}

/// Checks that a complaint has these parts.
///
/// # Panics
/// When it lacks one.
#[track_caller]
pub fn says(complaint: &str, parts: &[&str]) {
    for part in parts {
        assert!(complaint.contains(part), "no {part:?} in: {complaint}");
    }
}

/// A process that does not run for as long as this lives.
#[derive(Debug)]
pub struct Frozen(i64);

impl Frozen {
    /// # Panics
    /// When there is no such process.
    pub fn new(pid: i64) -> Self {
        run(Command::new("kill").args(["-STOP", &pid.to_string()])).ok();
        Self(pid)
    }
}

impl Drop for Frozen {
    fn drop(&mut self) {
        run(Command::new("kill").args(["-CONT", &self.0.to_string()]));
    }
}
