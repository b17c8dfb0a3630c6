//! The one value everything hangs on: `Core`. Made once by the daemon's wiring.

use crate::config::{Config, Handler};
use crate::events::Journal;
use crate::oci_spec::Host;
use crate::operations::Operations;
use crate::shims::Shims;
use crate::state::{ContainerRecord, DurableLedger, SandboxRecord, Shelf};
use crate::{container, paths};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_image::{Db, Store};
use plimsoll_net::Network;
use std::os::unix::fs::DirBuilderExt;
use std::sync::Arc;

/// The node's sandboxes and containers. Cheap to clone; all clones are one.
#[derive(Clone)]
pub struct Core(Arc<Inner>);

struct Inner {
    config: Config,
    images: Store,
    network: Network,
    journal: Journal,
    host: Host,
    boot: String,
    shims: Shims,
    exits: container::Exits,
    sandboxes: Shelf<SandboxRecord>,
    containers: Shelf<ContainerRecord>,
    making: Operations<String>,
    doing: Operations<()>,
}

/// What this node can do at the moment, for CRI `Status`.
#[derive(Clone, Debug)]
pub struct Readiness {
    /// Always true once `open` has returned.
    pub runtime: bool,
    /// Why the network is not ready; `None` when it is.
    pub network: Option<String>,
}

/// A long operation under way.
#[derive(Clone, Debug)]
pub struct Operation {
    pub key: String,
    pub stage: &'static str,
    /// Seconds in this stage.
    pub seconds: u64,
}

impl Core {
    /// Makes the state folders and reads the records. Call [`Core::recover`] before serving requests.
    pub fn open(config: Config, db: &Db, images: Store) -> Result<Self> {
        for folder in [config.state.clone(), paths::socket_dir(&config.state)] {
            std::fs::DirBuilder::new().recursive(true).mode(0o700).create(&folder).map_err(|e| {
                Fault::new(Layer::Store, "open", format!("cannot make the folder {}", folder.display())).because(&e)
            })?;
        }
        let network = Network::open(
            plimsoll_net::Options {
                conf_dir: config.network.conf_dir.clone(),
                bin_dirs: config.network.bin_dirs.clone(),
                cache_dir: config.root.join("cni"),
                deadline: config.timeouts.cni,
            },
            Arc::new(DurableLedger::open(db)),
        );
        let journal = Journal::open(db)?;
        Ok(Self(Arc::new(Inner {
            images,
            network,
            host: Host::probe(),
            boot: boot_id()?,
            shims: Shims::default(),
            exits: container::Exits::default(),
            sandboxes: Shelf::open(db, "sandboxes", journal.clone())?,
            containers: Shelf::open(db, "containers", journal.clone())?,
            making: Operations::default(),
            doing: Operations::default(),
            journal,
            config,
        })))
    }

    pub fn config(&self) -> &Config {
        &self.0.config
    }

    pub fn images(&self) -> &Store {
        &self.0.images
    }

    pub fn journal(&self) -> &Journal {
        &self.0.journal
    }

    pub fn readiness(&self) -> Readiness {
        Readiness { runtime: true, network: self.0.network.status().err().map(|fault| fault.to_string()) }
    }

    /// The long operations under way, with their stages.
    pub fn operations(&self) -> Vec<Operation> {
        let rows = self.0.making.list().into_iter().chain(self.0.doing.list());
        rows.map(|(key, stage, seconds)| Operation { key, stage, seconds }).collect()
    }

    /// Replays the store, reconnects every shim, collects the exits that happened meanwhile and cleans what a crash left.
    pub async fn recover(&self) -> Result<()> {
        crate::recover::recover(self).await
    }

    pub(crate) fn network(&self) -> &Network {
        &self.0.network
    }

    pub(crate) fn host(&self) -> &Host {
        &self.0.host
    }

    pub(crate) fn boot(&self) -> &str {
        &self.0.boot
    }

    pub(crate) fn shims(&self) -> &Shims {
        &self.0.shims
    }

    pub(crate) fn exits(&self) -> &container::Exits {
        &self.0.exits
    }

    pub(crate) fn sandboxes(&self) -> &Shelf<SandboxRecord> {
        &self.0.sandboxes
    }

    pub(crate) fn containers(&self) -> &Shelf<ContainerRecord> {
        &self.0.containers
    }

    /// Operations whose result is an id.
    pub(crate) fn making(&self) -> &Operations<String> {
        &self.0.making
    }

    pub(crate) fn doing(&self) -> &Operations<()> {
        &self.0.doing
    }

    /// The handler of that name; the empty name is the default one.
    pub(crate) fn handler(&self, name: &str) -> Result<(String, Handler)> {
        let config = self.config();
        let name = if name.is_empty() { config.default_handler.as_str() } else { name };
        let handler = config.handlers.get(name).ok_or_else(|| {
            let known: Vec<&str> = config.handlers.keys().map(String::as_str).collect();
            Fault::new(Layer::Caller, "handler", format!("runtime handler {name:?} is unknown"))
                .kind(Kind::NotFound)
                .hint(format!("configured: {}", known.join(", ")))
        })?;
        Ok((name.to_owned(), handler.clone()))
    }
}

fn boot_id() -> Result<String> {
    const PATH: &str = "/proc/sys/kernel/random/boot_id";
    let text = std::fs::read_to_string(PATH)
        .map_err(|e| Fault::new(Layer::Kernel, "open", format!("cannot read {PATH}")).because(&e))?;
    Ok(text.trim().to_owned())
}
