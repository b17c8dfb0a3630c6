//! Where a value of `config.json` came from.

use serde::{Deserialize, Serialize};
use std::fmt;

/// One origin. Serialised as `{"kind": "...", ...}` in `provenance.json`.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(tag = "kind", rename_all = "kebab-case")]
pub enum Origin {
    /// A field of the request, e.g. `container.resources.memory_limit`. Over the CRI it is the pod's word.
    Request { field: String },
    /// A field of the image's config, e.g. `Env`.
    Image { field: String },
    /// Ours, by the name under which the documentation explains it.
    Default { name: String },
    /// The RuntimeClass handler or the daemon's configuration file.
    Handler { name: String, key: String },
    /// A limit or capability of this host.
    Kernel { fact: String },
    /// A spec given whole by a client.
    Opaque { client: String },
}

impl Origin {
    pub fn request(field: impl Into<String>) -> Self {
        Self::Request { field: field.into() }
    }

    pub fn image(field: impl Into<String>) -> Self {
        Self::Image { field: field.into() }
    }

    pub fn default(name: impl Into<String>) -> Self {
        Self::Default { name: name.into() }
    }

    pub fn kernel(fact: impl Into<String>) -> Self {
        Self::Kernel { fact: fact.into() }
    }

    pub fn handler(name: impl Into<String>, key: impl Into<String>) -> Self {
        Self::Handler { name: name.into(), key: key.into() }
    }
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Request { field } => write!(f, "request {field}"),
            Self::Image { field } => write!(f, "image {field}"),
            Self::Default { name } => write!(f, "default {name}"),
            Self::Handler { name, key } => write!(f, "handler {name} {key}"),
            Self::Kernel { fact } => write!(f, "kernel {fact}"),
            Self::Opaque { client } => write!(f, "opaque spec of {client}"),
        }
    }
}
