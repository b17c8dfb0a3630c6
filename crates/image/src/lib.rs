//! The image store: content by digest, metadata in the one database, snapshots, layers, the registry client and pull.
//! Works without a daemon; takes root folder and rights from whoever wires it. Knows no containers and no CRI.

pub mod db;
mod limits;
pub mod snapshot;
mod store;

pub use db::Db;
pub use snapshot::Snapshotter;
pub use store::{Auth, Config, Image, LayerProgress, LayerStage, Progress, PullRequest, RegistryConfig, Store, Usage};
