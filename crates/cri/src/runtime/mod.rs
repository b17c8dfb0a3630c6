//! RuntimeService: a file per RPC.

mod container_stats;
mod container_status;
mod create_container;
mod exec_sync;
mod list_container_stats;
mod list_containers;
mod list_pod_sandbox;
mod pod_sandbox_status;
mod remove_container;
mod remove_pod_sandbox;
mod reopen_container_log;
mod run_pod_sandbox;
mod runtime_config;
mod start_container;
mod status;
mod stop_container;
mod stop_pod_sandbox;
mod update_runtime_config;
mod version;

pub(crate) use container_stats::container_stats;
pub(crate) use container_status::container_status;
pub(crate) use create_container::create_container;
pub(crate) use exec_sync::exec_sync;
pub(crate) use list_container_stats::list_container_stats;
pub(crate) use list_containers::list_containers;
pub(crate) use list_pod_sandbox::list_pod_sandbox;
pub(crate) use pod_sandbox_status::pod_sandbox_status;
pub(crate) use remove_container::remove_container;
pub(crate) use remove_pod_sandbox::remove_pod_sandbox;
pub(crate) use reopen_container_log::reopen_container_log;
pub(crate) use run_pod_sandbox::run_pod_sandbox;
pub(crate) use runtime_config::runtime_config;
pub(crate) use start_container::start_container;
pub(crate) use status::status;
pub(crate) use stop_container::stop_container;
pub(crate) use stop_pod_sandbox::stop_pod_sandbox;
pub(crate) use update_runtime_config::update_runtime_config;
pub(crate) use version::version;

use plimsoll_fault::Fault;

/// An id that the request must have.
fn required<'a>(field: &str, id: &'a str) -> Result<&'a str, Fault> {
    if id.is_empty() { Err(Fault::invalid("request", format!("{field} is empty"))) } else { Ok(id) }
}

/// Verbose facts as CRI carries them: one key, one JSON object, as tools read it (`.info.pid`).
fn info(facts: std::collections::BTreeMap<String, serde_json::Value>) -> std::collections::HashMap<String, String> {
    let object = serde_json::Value::Object(facts.into_iter().collect());
    std::collections::HashMap::from([("info".to_owned(), object.to_string())])
}
