//! Safe, typed Linux. The only crate with unsafe code: every block names its invariant and who upholds it.

#![allow(unsafe_code)]

pub mod arena;
pub mod bpf;
pub mod caps;
pub mod cgroup;
mod errno;
pub mod fifo;
pub mod file;
pub mod fork;
pub mod host;
pub mod hostmount;
pub mod keyring;
pub mod loopback;
pub mod message;
pub mod mount;
pub mod netns;
pub mod ns;
pub mod numa;
pub mod process;
pub mod procfs;
pub mod pty;
pub mod root;
pub mod rtnetlink;
pub mod sched;
pub mod sd_notify;
pub mod seal;
pub mod seccomp;
pub mod signalfd;
pub mod signals;
mod thread;
pub mod usage;

pub use thread::SingleThread;
