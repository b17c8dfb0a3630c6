//! Pod networks: pinned network namespaces, and the calls of CNI plugins with a cache and a write-ahead ledger. It knows
//! no pods beyond the names that plugins are told, and no database: the ledger is a trait that the wiring implements.

mod cache;
mod conf;
mod exec;
mod input;
mod ledger;
pub mod netns;
mod network;
mod setup;
mod teardown;

pub use ledger::{Entry, Ledger, Stage};
pub use network::{Bandwidth, Dns, Network, Options, Pod, PortMapping};
pub use setup::Attachment;

/// Every bound of this crate.
mod limits {
    /// A configuration file. Real ones have a few kilobytes.
    pub(crate) const CONF: u64 = 1 << 20;
    /// A plugin's stdout. A result with hundreds of addresses has some tens of kilobytes.
    pub(crate) const STDOUT: u64 = 1 << 20;
    /// A plugin's stderr, of which only the end is of use.
    pub(crate) const STDERR: u64 = 64 << 10;
    /// Files looked at in the configuration folder.
    pub(crate) const CONF_FILES: usize = 256;
}
