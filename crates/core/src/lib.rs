//! Sandboxes and containers on top of tasks: what a node runtime decides, free of any wire contract. CRI, and later the
//! containerd and engine APIs, are views of this crate. It owns records, spec assembly, rollback, recovery and the event
//! journal; it does not own images (`image`), networks (`net`) or processes (the shim).

pub mod config;
pub mod container;
pub mod events;
pub mod oci_spec;
mod open;
pub mod pull;
pub mod sandbox;
pub mod shim;

pub use config::Config;
pub use open::Core;
