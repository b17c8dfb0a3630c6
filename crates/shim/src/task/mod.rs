//! The Task service, v2 and v3: a file per RPC. Containers and execs as the shim keeps them are in `model.rs`.

pub(crate) mod close_io;
pub(crate) mod connect;
pub(crate) mod create;
pub(crate) mod delete;
pub(crate) mod exec;
pub(crate) mod freeze;
pub(crate) mod kill;
mod model;
pub(crate) mod pids;
pub(crate) mod resize_pty;
pub(crate) mod rootfs;
pub(crate) mod shutdown;
pub(crate) mod start;
pub(crate) mod state;
pub(crate) mod stats;
pub(crate) mod update;
pub(crate) mod wait;

pub(crate) use model::{ExitAnswer, ExitRecord, Key, Phase, Process, Task, timestamp, wrong_phase};
