//! Builds what one plugin reads on stdin: its own object plus name, version, runtimeConfig and prevResult.

use crate::Entry;
use crate::network::Pod;
use plimsoll_spec::cni::Plugin;
use serde_json::{Map, Value, json};

/// CNI_ARGS of a pod, in the names that plugins know from other CRI runtimes.
pub(crate) fn args(pod: &Pod) -> Vec<(String, String)> {
    let pair = |key: &str, value: &str| (key.to_owned(), value.to_owned());
    vec![
        pair("IgnoreUnknown", "1"),
        pair("K8S_POD_NAMESPACE", &pod.namespace),
        pair("K8S_POD_NAME", &pod.name),
        pair("K8S_POD_INFRA_CONTAINER_ID", &pod.sandbox),
        pair("K8S_POD_UID", &pod.uid),
    ]
}

/// Capability arguments of a pod; what it does not ask for is absent.
pub(crate) fn capabilities(pod: &Pod) -> Map<String, Value> {
    let mut caps = Map::new();
    let published: Vec<_> = pod.port_mappings.iter().filter(|m| m.host_port != 0).collect();
    if !published.is_empty() {
        caps.insert("portMappings".into(), json!(published));
    }
    if let Some(dns) = &pod.dns {
        caps.insert("dns".into(), json!(dns));
    }
    if let Some(bandwidth) = &pod.bandwidth {
        caps.insert("bandwidth".into(), json!(bandwidth));
    }
    if let Some(cgroup) = &pod.cgroup {
        caps.insert("cgroupPath".into(), json!(cgroup));
    }
    caps
}

/// The stdin of one plugin. `runtimeConfig` has only what the plugin says it can do.
pub(crate) fn stdin(entry: &Entry, plugin: &Plugin, previous: Option<&Value>) -> Vec<u8> {
    let mut body = plugin.body.clone();
    body.insert("name".into(), json!(entry.network));
    body.insert("cniVersion".into(), json!(entry.version));
    let wanted: Map<String, Value> =
        entry.capabilities.iter().filter(|(k, _)| plugin.capabilities.contains(*k)).map(pair).collect();
    body.remove("capabilities");
    if !wanted.is_empty() {
        body.insert("runtimeConfig".into(), wanted.into());
    }
    if let Some(previous) = previous {
        body.insert("prevResult".into(), previous.clone());
    }
    Value::Object(body).to_string().into_bytes()
}

fn pair((key, value): (&String, &Value)) -> (String, Value) {
    (key.clone(), value.clone())
}
