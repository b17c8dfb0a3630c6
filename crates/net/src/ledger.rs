//! What was asked of plugins and not yet given back. An entry is written before ADD is called and removed after DEL has
//! succeeded, so that a crash in between never leaks an address.

use plimsoll_fault::Result;
use serde::{Deserialize, Serialize};
use serde_json::Value;
use std::path::PathBuf;

#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Stage {
    /// ADD may have been called, wholly, partly or not at all.
    Adding,
    Added,
}

/// One attachment: all that DEL needs, even when the configuration files have changed since.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
pub struct Entry {
    pub sandbox: String,
    pub netns: PathBuf,
    pub interface: String,
    pub stage: Stage,
    pub network: String,
    pub version: String,
    pub disable_check: bool,
    /// The plugins' configuration objects as they were.
    pub plugins: Vec<Value>,
    pub args: Vec<(String, String)>,
    /// Capability arguments by capability.
    pub capabilities: serde_json::Map<String, Value>,
    /// The last plugin's answer.
    pub result: Option<Value>,
}

/// Durable storage of entries, keyed by sandbox id. Each call is one durable write.
pub trait Ledger: Send + Sync {
    fn record(&self, entry: &Entry) -> Result<()>;
    /// Forgetting what is not there is not an error.
    fn forget(&self, sandbox: &str) -> Result<()>;
    fn find(&self, sandbox: &str) -> Result<Option<Entry>>;
    fn entries(&self) -> Result<Vec<Entry>>;
}
