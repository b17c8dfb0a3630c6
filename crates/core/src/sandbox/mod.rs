//! A pod's sandbox: its namespaces, network, files and shim. A file per verb; the request and status types are in `types`.

mod list;
mod remove;
mod run;
mod status;
mod stop;
mod types;

pub use list::list;
pub use remove::remove;
pub use run::run;
pub use status::status;
pub use stop::stop;
pub use types::*;
