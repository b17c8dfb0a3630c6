//! Safe, typed Linux. The only crate with unsafe code: every block names its invariant and who upholds it.

#![allow(unsafe_code)]

pub mod detached;
pub mod fifo;
pub mod fork;
pub mod host;
pub mod hostmount;
pub mod netns;
pub mod seccomp;
pub mod signalfd;
mod thread;
pub mod unshare;

pub use thread::SingleThread;
