//! The image store: content by digest, metadata in the one database, snapshots, layers, the registry client and pull.
//! Works without a daemon; takes root folder and rights from whoever wires it. Knows no containers and no CRI.

pub mod content;
pub mod db;
mod fault;
pub mod layer;
mod limits;
mod pull;
mod registry;
mod removal;
pub mod snapshot;
mod store;

pub use db::Db;
pub use layer::Rights;
pub use registry::RegistryConfig;
pub use snapshot::Snapshotter;
pub use store::{Auth, Config, Image, LayerProgress, LayerStage, Progress, PullRequest, Store, Usage};
