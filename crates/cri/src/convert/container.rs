//! Containers.

use super::{image, invalid, known, mounts, not_done, resources, security, signal};
use plimsoll_core::container::{
    Container, ContainerConfig, ContainerFilter, ContainerState, ContainerStatus, Device, EnvVar, Metadata, User,
};
use plimsoll_fault::Fault;
use plimsoll_proto::cri;

pub(crate) fn config(from: cri::ContainerConfig) -> Result<ContainerConfig, Fault> {
    let metadata = from.metadata.ok_or_else(|| invalid("config.metadata", "is missing"))?;
    if metadata.name.is_empty() {
        return Err(invalid("config.metadata.name", "is empty"));
    }
    let image = from.image.filter(|spec| !spec.image.is_empty());
    let image = image.ok_or_else(|| invalid("config.image.image", "is missing"))?;
    if from.windows.is_some_and(|windows| windows != cri::WindowsContainerConfig::default()) {
        return Err(invalid("config.windows", "this is a Linux node"));
    }
    if !from.cdi_devices.is_empty() {
        return Err(not_done("config.CDI_devices"));
    }
    if from.stdin {
        return Err(not_done("config.stdin"));
    }
    let linux = from.linux.unwrap_or_default();
    Ok(ContainerConfig {
        metadata: Metadata { name: metadata.name, attempt: metadata.attempt },
        image: image::spec(image),
        command: from.command,
        args: from.args,
        working_dir: from.working_dir,
        envs: from.envs.into_iter().map(|var| EnvVar { key: var.key, value: var.value }).collect(),
        mounts: from
            .mounts
            .into_iter()
            .enumerate()
            .map(|(at, mount)| mounts::mount(&format!("config.mounts[{at}]"), mount))
            .collect::<Result<_, _>>()?,
        devices: from.devices.into_iter().map(device).collect(),
        labels: from.labels.into_iter().collect(),
        annotations: from.annotations.into_iter().collect(),
        log_path: from.log_path,
        stdin: from.stdin,
        stdin_once: from.stdin_once,
        tty: from.tty,
        cdi_devices: Vec::new(),
        stop_signal: signal::name("config.stop_signal", from.stop_signal)?,
        resources: resources::resources("config.linux.resources", linux.resources.unwrap_or_default())?,
        security: security::container("config.linux.security_context", linux.security_context.unwrap_or_default())?,
    })
}

fn device(from: cri::Device) -> Device {
    Device { container_path: from.container_path, host_path: from.host_path, permissions: from.permissions }
}

pub(crate) fn filter(from: cri::ContainerFilter) -> Result<ContainerFilter, Fault> {
    let state = from.state.map(|value| known("filter.state", value.state)).transpose()?;
    Ok(ContainerFilter {
        id: (!from.id.is_empty()).then_some(from.id),
        sandbox: (!from.pod_sandbox_id.is_empty()).then_some(from.pod_sandbox_id),
        state: state.map(|state| match state {
            cri::ContainerState::ContainerCreated => ContainerState::Created,
            cri::ContainerState::ContainerRunning => ContainerState::Running,
            cri::ContainerState::ContainerExited => ContainerState::Exited,
            cri::ContainerState::ContainerUnknown => ContainerState::Unknown,
        }),
        labels: from.label_selector.into_iter().collect(),
    })
}

pub(crate) fn listed(from: Container) -> cri::Container {
    cri::Container {
        id: from.id,
        pod_sandbox_id: from.sandbox,
        metadata: Some(metadata(from.config.metadata)),
        image: Some(image::spec_message(from.config.image)),
        image_ref: from.image_ref,
        state: state(from.state),
        created_at: from.created_at,
        labels: from.config.labels.into_iter().collect(),
        annotations: from.config.annotations.into_iter().collect(),
        image_id: from.image_id,
    }
}

pub(crate) fn status(from: ContainerStatus) -> cri::ContainerStatus {
    let container = from.container;
    let config = container.config;
    cri::ContainerStatus {
        id: container.id,
        metadata: Some(metadata(config.metadata)),
        state: state(container.state),
        created_at: container.created_at,
        started_at: from.started_at,
        finished_at: from.finished_at,
        exit_code: from.exit_code,
        image: Some(image::spec_message(config.image)),
        image_ref: container.image_ref,
        reason: from.reason,
        message: from.message,
        labels: config.labels.into_iter().collect(),
        annotations: config.annotations.into_iter().collect(),
        mounts: config.mounts.into_iter().map(mounts::message).collect(),
        log_path: from.log_path,
        resources: Some(cri::ContainerResources { linux: Some(resources::message(config.resources)), windows: None }),
        image_id: container.image_id,
        user: from.user.map(user),
        stop_signal: signal::number(&from.stop_signal),
    }
}

pub(crate) fn metadata(from: Metadata) -> cri::ContainerMetadata {
    cri::ContainerMetadata { name: from.name, attempt: from.attempt }
}

fn user(from: User) -> cri::ContainerUser {
    let linux = cri::LinuxContainerUser {
        uid: from.uid.into(),
        gid: from.gid.into(),
        supplemental_groups: from.groups.into_iter().map(i64::from).collect(),
    };
    cri::ContainerUser { linux: Some(linux) }
}

fn state(from: ContainerState) -> i32 {
    match from {
        ContainerState::Created => cri::ContainerState::ContainerCreated,
        ContainerState::Running => cri::ContainerState::ContainerRunning,
        ContainerState::Exited => cri::ContainerState::ContainerExited,
        ContainerState::Unknown => cri::ContainerState::ContainerUnknown,
    }
    .into()
}
