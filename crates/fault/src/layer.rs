use serde::{Deserialize, Serialize};
use std::fmt;

/// The part of the stack that owns a failure. Names that this version does not know pass through unchanged, so that a
/// newer program's fault survives an older one in the middle.
#[derive(Clone, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(from = "String", into = "String")]
pub enum Layer {
    /// The remote registry: what it answered or that it did not answer.
    Registry,
    /// The image's own content: manifest, config, layers.
    Image,
    /// Content, snapshots and metadata on this node's disk.
    Store,
    /// Assembly of the OCI `config.json`.
    Spec,
    /// Network namespaces and CNI.
    Network,
    /// The shim and the line to it.
    Shim,
    /// The OCI runtime: namespaces, cgroups, mounts, credentials, exec.
    OciRuntime,
    /// The kernel acted by itself (OOM kill) or lacks what was asked.
    Kernel,
    /// The node daemon itself.
    Daemon,
    /// The request.
    Caller,
    Other(String),
}

impl Layer {
    pub fn name(&self) -> &str {
        match self {
            Self::Registry => "registry",
            Self::Image => "image",
            Self::Store => "store",
            Self::Spec => "spec",
            Self::Network => "network",
            Self::Shim => "shim",
            Self::OciRuntime => "oci-runtime",
            Self::Kernel => "kernel",
            Self::Daemon => "daemon",
            Self::Caller => "caller",
            Self::Other(name) => name,
        }
    }
}

impl From<String> for Layer {
    fn from(name: String) -> Self {
        match name.as_str() {
            "registry" => Self::Registry,
            "image" => Self::Image,
            "store" => Self::Store,
            "spec" => Self::Spec,
            "network" => Self::Network,
            "shim" => Self::Shim,
            "oci-runtime" => Self::OciRuntime,
            "kernel" => Self::Kernel,
            "daemon" => Self::Daemon,
            "caller" => Self::Caller,
            _ => Self::Other(name),
        }
    }
}

impl From<Layer> for String {
    fn from(layer: Layer) -> Self {
        layer.name().to_owned()
    }
}

impl fmt::Display for Layer {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name())
    }
}
