//! The verbs of the shim binary; a file each.

mod bootstrap;
pub(crate) mod delete;
pub(crate) mod info;
pub(crate) mod log;
pub(crate) mod serve;
pub(crate) mod start;
