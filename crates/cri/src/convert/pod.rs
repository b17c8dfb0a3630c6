//! Pod sandboxes.

use super::{invalid, known, resources, security};
use plimsoll_core::sandbox::{
    Dns, Metadata, NamespaceMode, NamespaceOptions, PortMapping, Sandbox, SandboxConfig, SandboxFilter, SandboxState,
    SandboxStatus,
};
use plimsoll_fault::Fault;
use plimsoll_proto::cri;

pub(crate) fn config(from: cri::PodSandboxConfig) -> Result<SandboxConfig, Fault> {
    let metadata = from.metadata.ok_or_else(|| invalid("config.metadata", "is missing"))?;
    if metadata.name.is_empty() {
        return Err(invalid("config.metadata.name", "is empty"));
    }
    if from.windows.is_some_and(|windows| windows != cri::WindowsPodSandboxConfig::default()) {
        return Err(invalid("config.windows", "this is a Linux node"));
    }
    let linux = from.linux.unwrap_or_default();
    let part = |field: &str, from: Option<cri::LinuxContainerResources>| {
        from.map(|from| resources::resources(field, from)).transpose()
    };
    Ok(SandboxConfig {
        metadata: Metadata {
            name: metadata.name,
            uid: metadata.uid,
            namespace: metadata.namespace,
            attempt: metadata.attempt,
        },
        hostname: from.hostname,
        log_directory: from.log_directory,
        dns: from.dns_config.map(|dns| Dns { servers: dns.servers, searches: dns.searches, options: dns.options }),
        port_mappings: from
            .port_mappings
            .into_iter()
            .enumerate()
            .map(|(at, port)| port_mapping(&format!("config.port_mappings[{at}]"), port))
            .collect::<Result<_, _>>()?,
        labels: from.labels.into_iter().collect(),
        annotations: from.annotations.into_iter().collect(),
        cgroup_parent: linux.cgroup_parent,
        sysctls: linux.sysctls.into_iter().collect(),
        security: security::sandbox("config.linux.security_context", linux.security_context.unwrap_or_default())?,
        overhead: part("config.linux.overhead", linux.overhead)?,
        resources: part("config.linux.resources", linux.resources)?,
    })
}

fn port_mapping(field: &str, from: cri::PortMapping) -> Result<PortMapping, Fault> {
    let port = |name: &str, number: i32| {
        u16::try_from(number).map_err(|_| invalid(&format!("{field}.{name}"), format!("{number} is not a port")))
    };
    let protocol = match known(&format!("{field}.protocol"), from.protocol)? {
        cri::Protocol::Tcp => "tcp",
        cri::Protocol::Udp => "udp",
        cri::Protocol::Sctp => "sctp",
    };
    Ok(PortMapping {
        protocol: protocol.to_owned(),
        container_port: port("container_port", from.container_port)?,
        host_port: port("host_port", from.host_port)?,
        host_ip: from.host_ip,
    })
}

pub(crate) fn filter(from: cri::PodSandboxFilter) -> Result<SandboxFilter, Fault> {
    let state = from.state.map(|value| known("filter.state", value.state)).transpose()?;
    Ok(SandboxFilter {
        id: (!from.id.is_empty()).then_some(from.id),
        state: state.map(|state| match state {
            cri::PodSandboxState::SandboxReady => SandboxState::Ready,
            cri::PodSandboxState::SandboxNotready => SandboxState::NotReady,
        }),
        labels: from.label_selector.into_iter().collect(),
    })
}

pub(crate) fn listed(from: Sandbox) -> cri::PodSandbox {
    cri::PodSandbox {
        id: from.id,
        metadata: Some(metadata(from.config.metadata)),
        state: state(from.state),
        created_at: from.created_at,
        labels: from.config.labels.into_iter().collect(),
        annotations: from.config.annotations.into_iter().collect(),
        runtime_handler: from.handler,
    }
}

pub(crate) fn status(from: SandboxStatus) -> cri::PodSandboxStatus {
    let sandbox = from.sandbox;
    let mut ips = from.ips.into_iter();
    let network = cri::PodSandboxNetworkStatus {
        ip: ips.next().unwrap_or_default(),
        additional_ips: ips.map(|ip| cri::PodIp { ip }).collect(),
    };
    let namespaces = cri::Namespace { options: Some(namespaces(sandbox.config.security.namespaces)) };
    cri::PodSandboxStatus {
        id: sandbox.id,
        metadata: Some(metadata(sandbox.config.metadata)),
        state: state(sandbox.state),
        created_at: sandbox.created_at,
        network: Some(network),
        linux: Some(cri::LinuxPodSandboxStatus { namespaces: Some(namespaces) }),
        labels: sandbox.config.labels.into_iter().collect(),
        annotations: sandbox.config.annotations.into_iter().collect(),
        runtime_handler: sandbox.handler,
    }
}

fn metadata(from: Metadata) -> cri::PodSandboxMetadata {
    cri::PodSandboxMetadata { name: from.name, uid: from.uid, namespace: from.namespace, attempt: from.attempt }
}

fn state(from: SandboxState) -> i32 {
    match from {
        SandboxState::Ready => cri::PodSandboxState::SandboxReady,
        SandboxState::NotReady => cri::PodSandboxState::SandboxNotready,
    }
    .into()
}

fn namespaces(from: NamespaceOptions) -> cri::NamespaceOption {
    let mappings = |maps: Vec<plimsoll_core::sandbox::IdMapping>| {
        maps.into_iter()
            .map(|map| cri::IdMapping { host_id: map.host_id, container_id: map.container_id, length: map.length })
            .collect()
    };
    cri::NamespaceOption {
        network: mode(from.network),
        pid: mode(from.pid),
        ipc: mode(from.ipc),
        target_id: from.target_id,
        userns_options: from.user.map(|user| cri::UserNamespace {
            mode: mode(user.mode),
            uids: mappings(user.uids),
            gids: mappings(user.gids),
        }),
    }
}

fn mode(from: NamespaceMode) -> i32 {
    match from {
        NamespaceMode::Pod => cri::NamespaceMode::Pod,
        NamespaceMode::Container => cri::NamespaceMode::Container,
        NamespaceMode::Node => cri::NamespaceMode::Node,
        NamespaceMode::Target => cri::NamespaceMode::Target,
    }
    .into()
}
