//! A container in a sandbox: its spec, snapshot and task. A file per verb; the request and status types are in `types`.

mod create;
mod exec_sync;
mod exit;
mod list;
mod remove;
mod reopen_log;
mod resolve;
mod rootfs;
mod settle;
mod start;
mod stats;
mod status;
mod stop;
mod target;
mod types;

pub use create::create;
pub use exec_sync::exec_sync;
pub(crate) use exit::{Exits, follow, lost};
pub use list::list;
pub(crate) use remove::erase;
pub use remove::remove;
pub use reopen_log::reopen_log;
pub(crate) use resolve::of_sandbox;
pub(crate) use settle::settle;
pub use start::start;
pub use stats::stats;
pub use status::status;
pub use stop::stop;
pub use types::*;
