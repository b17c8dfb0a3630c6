//! The OCI runtime as a library: one container's namespaces, cgroups, mounts and credentials. `plimrun` and the shim call
//! the same functions. Synchronous, no executor, no threads: whoever calls `create` or `exec` holds the `SingleThread` token.

mod create;
mod delete;
mod exec;
mod fault;
mod kill;
mod root;
pub mod seccomp;
mod start;
mod state;
mod stdio;

pub use create::{CreateRequest, Created, create};
pub use delete::delete;
pub use exec::{ExecRequest, exec};
pub use kill::kill;
pub use root::Root;
pub use start::start;
pub use state::{container_process, list, state};
pub use stdio::Stdio;
