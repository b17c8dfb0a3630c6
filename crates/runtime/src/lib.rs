//! The OCI runtime as a library: one container's namespaces, cgroups, mounts and credentials. `plimrun` and the shim call
//! the same functions. Synchronous, no executor, no threads: whoever calls `create` or `exec` holds the `SingleThread` token.

mod bundle;
mod child;
mod create;
mod delete;
mod events;
mod exec;
mod fault;
mod hooks;
mod kept_filter;
mod kill;
mod parent;
mod pause;
mod plan;
mod ps;
mod readiness;
mod record;
mod root;
pub mod seccomp;
mod start;
mod state;
mod stdio;
mod sync;
mod systemd;
mod time;
mod update;
mod user;

pub use bundle::Bundle;
pub use create::{CreateRequest, Created, create, run};
pub use delete::{delete, delete_ended};
pub use events::{Happened, OomWatch, Stats, stats};
pub use exec::{ExecRequest, exec};
pub use kill::kill;
pub use pause::{pause, resume};
pub use ps::{cgroups, processes};
pub use readiness::{Readiness, readiness};
pub use record::process_start;
pub use root::Root;
pub use start::start;
pub use state::{container_process, list, state};
pub use stdio::Stdio;
pub use systemd::PROPERTY as SYSTEMD_PROPERTY;
pub use time::now_rfc3339;
pub use update::{parse_resources, update};
pub use user::parse_user;

/// Decides a config.json as [`create`] does, and makes nothing.
///
/// # Errors
/// What `create` would refuse before it makes anything, with the JSON pointer.
pub fn check(config: &[u8], bundle: &std::path::Path) -> Result<(), plimsoll_fault::Fault> {
    let plan = plan::Plan::new(bundle::parse(config)?, bundle)?;
    plan.seccomp.map(|profile| plan::FilterPlan::new(&profile, config)).transpose().map(drop)
}

/// The names of the hook lists, in the order in which they run: for `features`.
pub fn hook_names() -> [&'static str; 6] {
    plan::HOOKS
}

/// The kinds of namespaces that can be made or joined, sorted: for `features`.
pub fn namespaces() -> Vec<&'static str> {
    plan::namespace_names()
}

/// `linux.memoryPolicy.mode`: for `features`.
pub fn memory_policy_modes() -> [&'static str; 7] {
    plan::MEMORY_MODES
}

/// `linux.memoryPolicy.flags`: for `features`.
pub fn memory_policy_flags() -> impl Iterator<Item = &'static str> {
    plan::memory_flags()
}

/// Whether the caller is no root of the host: another user, or the root of a user namespace.
pub fn is_rootless() -> bool {
    parent::users::rootless()
}

/// Every mount option that is understood (filesystem data apart), sorted: for `features`.
pub fn mount_options() -> Vec<String> {
    plan::mount_options()
}
