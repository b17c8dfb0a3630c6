//! Assembly of `config.json`, every value with its origin. A part of the spec per file; `builder` is the only door.

mod assemble;
mod builder;
mod capabilities;
mod devices;
mod host;
mod mounts;
mod namespaces;
mod origin;
mod process;
mod resources;
mod seccomp_default;
mod security;
mod user;

pub use assemble::{Inputs, Warnings, assemble};
pub use builder::{Builder, Finished, token};
pub use host::Host;
pub use origin::Origin;
pub(crate) use resources::cgroup_path;
pub use seccomp_default::default_profile;
pub(crate) use security::hidden_paths;
pub use user::{Accounts, Resolved, resolve};

#[cfg(test)]
mod tests;
