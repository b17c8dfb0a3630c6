//! The node's pod network and what a pod asks of it.

use crate::Ledger;
use crate::conf;
use plimsoll_fault::Result;
use plimsoll_spec::cni::NetworkList;
use serde::Serialize;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Folders and limits; the configuration files are read anew for each pod.
#[derive(Clone, Debug)]
pub struct Options {
    pub conf_dir: PathBuf,
    pub bin_dirs: Vec<PathBuf>,
    /// Results are kept here in libcni's form, under `results/`.
    pub cache_dir: PathBuf,
    /// One plugin's time.
    pub deadline: Duration,
}

/// Calls CNI plugins for pods.
#[derive(Clone)]
pub struct Network {
    pub(crate) options: Arc<Options>,
    pub(crate) ledger: Arc<dyn Ledger>,
}

/// The pod to attach. Its strings come from the request and reach plugins as data only.
#[derive(Clone, Debug, Default)]
pub struct Pod {
    /// The sandbox id: CNI's container id.
    pub sandbox: String,
    pub netns: PathBuf,
    pub name: String,
    pub namespace: String,
    pub uid: String,
    pub port_mappings: Vec<PortMapping>,
    pub dns: Option<Dns>,
    pub bandwidth: Option<Bandwidth>,
    pub cgroup: Option<String>,
}

/// As in the `portMappings` convention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct PortMapping {
    pub host_port: u16,
    pub container_port: u16,
    pub protocol: String,
    #[serde(rename = "hostIP", skip_serializing_if = "String::is_empty")]
    pub host_ip: String,
}

/// As in the `dns` convention.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Dns {
    pub servers: Vec<String>,
    pub searches: Vec<String>,
    pub options: Vec<String>,
}

/// Bits per second and bits, as in the `bandwidth` convention. 0: no limit.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Bandwidth {
    pub ingress_rate: u64,
    pub ingress_burst: u64,
    pub egress_rate: u64,
    pub egress_burst: u64,
}

impl Network {
    pub fn open(options: Options, ledger: Arc<dyn Ledger>) -> Self {
        Self { options: Arc::new(options), ledger }
    }

    /// The network that the next pod gets. An error says why there is none: a node without one is not ready.
    pub fn status(&self) -> Result<NetworkList> {
        conf::load(&self.options.conf_dir)
    }

    /// The ids of sandboxes that hold, or may hold, an attachment.
    pub fn attached(&self) -> Result<Vec<String>> {
        Ok(self.ledger.entries()?.into_iter().map(|entry| entry.sandbox).collect())
    }
}
