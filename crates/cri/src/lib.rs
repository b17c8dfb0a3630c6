//! The CRI v1 services: requests become `core` and `image` calls, results become messages, faults become statuses.
//! A file per RPC; what is not a file is in the table of `service` and answers Unimplemented. Decides nothing itself.

mod convert;
mod image;
mod runtime;
mod service;
mod status;
mod stubs;

pub use status::status;

use plimsoll_core::Core;
use plimsoll_image::Store;
use std::sync::Arc;
use stubs::image_service_server::ImageServiceServer;
use stubs::runtime_service_server::RuntimeServiceServer;

/// The record namespace that CRI reads and writes.
pub const NAMESPACE: &str = "k8s.io";

/// Largest message either way: kubelet's own limit (its client is made with 16 MiB).
const MAX_MESSAGE: usize = 16 << 20;

/// What the services answer from. Clones are one.
#[derive(Clone)]
pub struct Cri(Arc<Parts>);

struct Parts {
    core: Core,
    store: Store,
    /// The daemon's effective configuration, shown by verbose `Status`.
    config: serde_json::Value,
}

impl Cri {
    pub fn new(core: Core, store: Store, config: serde_json::Value) -> Self {
        Self(Arc::new(Parts { core, store, config }))
    }

    /// The server of `runtime.v1.RuntimeService`.
    pub fn runtime_service(&self) -> RuntimeServiceServer<Self> {
        RuntimeServiceServer::new(self.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    /// The server of `runtime.v1.ImageService`.
    pub fn image_service(&self) -> ImageServiceServer<Self> {
        ImageServiceServer::new(self.clone())
            .max_decoding_message_size(MAX_MESSAGE)
            .max_encoding_message_size(MAX_MESSAGE)
    }

    fn core(&self) -> &Core {
        &self.0.core
    }

    fn store(&self) -> &Store {
        &self.0.store
    }

    fn config(&self) -> &serde_json::Value {
        &self.0.config
    }
}
