//! Assembly of `config.json`, every value with its origin.

mod seccomp_default;

pub use seccomp_default::default_profile;
