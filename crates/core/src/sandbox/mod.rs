//! A pod's sandbox: its namespaces, network, files and shim. A file per verb; the request and status types are in `types`.

mod check;
mod container;
mod files;
mod list;
mod pause;
mod remove;
mod resolve;
mod run;
mod status;
mod stop;
mod types;
mod watch;

pub(crate) use files::remove as remove_files;

pub use list::list;
pub(crate) use remove::erase;
pub use remove::remove;
pub(crate) use resolve::{one, resolve};
pub use run::run;
pub use status::status;
pub use stop::stop;
pub use types::*;
pub(crate) use watch::watch;
