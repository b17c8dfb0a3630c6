//! Status: is the node able to run pods, and with what.

use crate::Cri;
use plimsoll_core::config::Handler;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{
    RuntimeCondition, RuntimeFeatures, RuntimeHandler, RuntimeHandlerFeatures, RuntimeStatus, StatusRequest,
    StatusResponse,
};
use serde_json::json;
use std::collections::HashMap;

pub(crate) async fn status(cri: Cri, request: StatusRequest) -> Result<StatusResponse, Fault> {
    let readiness = cri.core().readiness();
    let runtime_reason = (!readiness.runtime).then(|| "the daemon is recovering".to_owned());
    let conditions = vec![
        condition("RuntimeReady", "RuntimeNotReady", runtime_reason),
        condition("NetworkReady", "NetworkPluginNotReady", readiness.network),
    ];
    Ok(StatusResponse {
        status: Some(RuntimeStatus { conditions }),
        info: if request.verbose { info(&cri) } else { HashMap::new() },
        runtime_handlers: handlers(&cri),
        features: Some(RuntimeFeatures {
            supplemental_groups_policy: true,
            user_namespaces_host_network: false,
            mount_options: false,
        }),
    })
}

fn condition(kind: &str, reason: &str, why_not: Option<String>) -> RuntimeCondition {
    RuntimeCondition {
        r#type: kind.to_owned(),
        status: why_not.is_none(),
        reason: if why_not.is_some() { reason.to_owned() } else { String::new() },
        message: why_not.unwrap_or_default(),
    }
}

/// The handlers by name; the default one also under the empty name, as kubelet asks for it.
fn handlers(cri: &Cri) -> Vec<RuntimeHandler> {
    let config = cri.core().config();
    let handler = |name: &str, handler: &Handler| {
        let recursive_read_only_mounts = handler.features.recursive_read_only;
        let features = RuntimeHandlerFeatures { recursive_read_only_mounts, user_namespaces: false };
        RuntimeHandler { name: name.to_owned(), features: Some(features) }
    };
    let default = config.handlers.get(&config.default_handler).map(|default| handler("", default));
    default.into_iter().chain(config.handlers.iter().map(|(name, found)| handler(name, found))).collect()
}

fn info(cri: &Cri) -> HashMap<String, String> {
    let operation = |op: plimsoll_core::Operation| json!({"key": op.key, "stage": op.stage, "seconds": op.seconds});
    let operations: Vec<_> = cri.core().operations().into_iter().map(operation).collect();
    HashMap::from([
        ("config".to_owned(), cri.config().to_string()),
        ("operations".to_owned(), json!(operations).to_string()),
    ])
}
