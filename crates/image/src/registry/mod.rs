//! The registry client (distribution-spec 1.1, pulling): endpoints, authentication, redirects, retries. Asynchronous;
//! knows no disk.

mod auth;
mod challenge;
mod client;
mod endpoint;
mod exchange;

pub(crate) use client::Client;
pub use endpoint::RegistryConfig;
