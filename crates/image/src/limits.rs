//! Every bound on foreign or stored data of this crate, each with its reason.

/// Cache of the database in bytes: it holds metadata only.
pub(crate) const DB_CACHE: usize = 4 << 20;
