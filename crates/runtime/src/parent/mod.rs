//! The host's side of making a process: cgroup, clone, hooks, state. Runs as the caller, outside of the container.

pub(crate) mod cgroup;
mod filter;
pub(crate) mod init;
mod inside;
pub(crate) mod limits;
pub(crate) mod loopback;
pub(crate) mod lsm;
pub(crate) mod net_devices;
pub(crate) mod notify;
pub(crate) mod rdt;
pub(crate) mod sources;
pub(crate) mod spawn;
pub(crate) mod talk;
pub(crate) mod undo;
pub(crate) mod users;
