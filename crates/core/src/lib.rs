//! Sandboxes and containers on top of tasks: what a node runtime decides, free of any wire contract. CRI, and later the
//! containerd and engine APIs, are views of this crate. It owns records, spec assembly, rollback, recovery and the event
//! journal; it does not own images (`image`), networks (`net`) or processes (the shim).

mod cgroups;
mod clock;
pub mod config;
pub mod container;
pub mod events;
mod features;
pub mod oci_spec;
mod open;
mod operations;
mod orphans;
mod paths;
pub mod pull;
mod recover;
mod remove_image;
mod rollback;
pub mod sandbox;
pub mod shim;
mod shims;
pub mod state;
mod task;

pub use config::Config;
pub use features::Features;
pub use open::{Core, Operation, Readiness};
pub use remove_image::remove_image;
