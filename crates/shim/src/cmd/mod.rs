//! The verbs of the shim binary; a file each.

pub(crate) mod delete;
pub(crate) mod info;
pub(crate) mod serve;
pub(crate) mod start;
