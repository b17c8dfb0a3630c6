//! The OCI runtime as a library: one container's namespaces, cgroups, mounts, credentials.

pub mod seccomp;
