//! Structured logs on standard error.

use crate::config::{Log, LogFormat};
use plimsoll_fault::{Fault, Layer};
use tracing_subscriber::EnvFilter;

/// Sets the process's one subscriber. Libraries below ours log connection chatter at debug; they are kept at warn
/// until trace is asked for.
pub(crate) fn start(log: &Log) -> Result<(), Fault> {
    let level = log.level.name();
    let filter = match level {
        "trace" => EnvFilter::new("trace"),
        _ => EnvFilter::new(format!("{level},h2=warn,hyper=warn,hyper_util=warn,rustls=warn,tonic=warn,tower=warn")),
    };
    let builder = tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr);
    let set = match log.format {
        LogFormat::Text => builder.with_ansi(false).try_init(),
        LogFormat::Json => builder.json().flatten_event(true).try_init(),
    };
    set.map_err(|error| Fault::new(Layer::Daemon, "log", "cannot start logging").because(error.as_ref()))
}
