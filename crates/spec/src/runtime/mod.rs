//! The OCI runtime spec: `config.json`.

pub mod seccomp;
