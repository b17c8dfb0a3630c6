//! Info: who answers, and where it keeps things.

use super::Parts;
use plimsoll_proto::admin::InfoResponse;
use std::path::Path;
use std::time::UNIX_EPOCH;

pub(super) fn info(parts: &Parts) -> InfoResponse {
    let config = parts.core.config();
    let text = |path: &Path| path.display().to_string();
    let started = parts.started_at.duration_since(UNIX_EPOCH).unwrap_or_default();
    InfoResponse {
        version: env!("CARGO_PKG_VERSION").to_owned(),
        root: text(&config.root),
        state: text(&config.state),
        pid: i32::try_from(std::process::id()).unwrap_or_default(),
        started_at: i64::try_from(started.as_nanos()).unwrap_or(i64::MAX),
        default_handler: config.default_handler.clone(),
        handlers: config.handlers.keys().cloned().collect(),
        warnings: parts.core.readiness().network.into_iter().collect(),
    }
}
