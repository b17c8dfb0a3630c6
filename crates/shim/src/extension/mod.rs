//! `plimsoll.shim.v1.Shim`: what our daemon asks beyond containerd's contract; a file per RPC.

pub(crate) mod exit;
pub(crate) mod list;
pub(crate) mod reopen_log;
