//! Security contexts and namespace options.
#![allow(deprecated, reason = "a deprecated field still decides when its successor is absent")]

use super::{invalid, known, not_done};
use plimsoll_core::container::{
    ApparmorProfile, Capabilities, ContainerSecurity, SeccompProfile, SupplementalGroupsPolicy,
};
use plimsoll_core::sandbox::{IdMapping, NamespaceMode, NamespaceOptions, SandboxSecurity, UserNamespace};
use plimsoll_fault::Fault;
use plimsoll_proto::cri;
use plimsoll_proto::cri::security_profile::ProfileType;

/// The sandbox has no process of its own: what only confines one (apparmor, groups policy) has nothing to act on.
pub(crate) fn sandbox(field: &str, from: cri::LinuxSandboxSecurityContext) -> Result<SandboxSecurity, Fault> {
    no_labels(field, from.selinux_options)?;
    let user = from.run_as_user.map(|id| id.value);
    let group = from.run_as_group.map(|id| id.value);
    if group.is_some() && user.is_none() {
        return Err(invalid(&format!("{field}.run_as_group"), "given without run_as_user"));
    }
    Ok(SandboxSecurity {
        namespaces: namespaces(field, from.namespace_options)?,
        privileged: from.privileged,
        readonly_rootfs: from.readonly_rootfs,
        seccomp: seccomp(field, from.seccomp, &from.seccomp_profile_path)?,
        run_as_user: user,
        run_as_group: group,
        supplemental_groups: from.supplemental_groups,
    })
}

pub(crate) fn container(field: &str, from: cri::LinuxContainerSecurityContext) -> Result<ContainerSecurity, Fault> {
    no_labels(field, from.selinux_options)?;
    let user = from.run_as_user.map(|id| id.value);
    let group = from.run_as_group.map(|id| id.value);
    if group.is_some() && user.is_none() && from.run_as_username.is_empty() {
        return Err(invalid(&format!("{field}.run_as_group"), "given without run_as_user or run_as_username"));
    }
    let policy = format!("{field}.supplemental_groups_policy");
    Ok(ContainerSecurity {
        capabilities: from.capabilities.map(capabilities).unwrap_or_default(),
        privileged: from.privileged,
        namespaces: namespaces(field, from.namespace_options)?,
        selinux: None,
        run_as_user: user,
        run_as_group: group,
        run_as_username: from.run_as_username,
        readonly_rootfs: from.readonly_rootfs,
        supplemental_groups: from.supplemental_groups,
        supplemental_groups_policy: match known(&policy, from.supplemental_groups_policy)? {
            cri::SupplementalGroupsPolicy::Merge => SupplementalGroupsPolicy::Merge,
            cri::SupplementalGroupsPolicy::Strict => SupplementalGroupsPolicy::Strict,
        },
        apparmor: apparmor(field, from.apparmor, &from.apparmor_profile)?,
        seccomp: seccomp(field, from.seccomp, &from.seccomp_profile_path)?,
        no_new_privs: from.no_new_privs,
        // proto3 cannot tell "none" from "not given". Kubelet means "unmasked" by an empty list, but only for pods with a user
        // namespace (Kubernetes validates it): an empty list of any other client must not open the host's /proc.
        masked_paths: given(from.masked_paths),
        readonly_paths: given(from.readonly_paths),
    })
}

fn given(paths: Vec<String>) -> Option<Vec<String>> {
    (!paths.is_empty()).then_some(paths)
}

fn namespaces(field: &str, from: Option<cri::NamespaceOption>) -> Result<NamespaceOptions, Fault> {
    let Some(from) = from else { return Ok(NamespaceOptions::default()) };
    let field = format!("{field}.namespace_options");
    Ok(NamespaceOptions {
        network: mode(&format!("{field}.network"), from.network)?,
        pid: mode(&format!("{field}.pid"), from.pid)?,
        ipc: mode(&format!("{field}.ipc"), from.ipc)?,
        target_id: from.target_id,
        user: from.userns_options.map(|user| user_namespace(&format!("{field}.userns_options"), user)).transpose()?,
    })
}

fn user_namespace(field: &str, from: cri::UserNamespace) -> Result<UserNamespace, Fault> {
    let name = format!("{field}.mode");
    let mode = mode(&name, from.mode)?;
    if !matches!(mode, NamespaceMode::Pod | NamespaceMode::Node) {
        return Err(invalid(&name, "only POD and NODE are user namespace modes"));
    }
    Ok(UserNamespace { mode, uids: mappings(from.uids), gids: mappings(from.gids) })
}

fn mode(field: &str, number: i32) -> Result<NamespaceMode, Fault> {
    Ok(match known(field, number)? {
        cri::NamespaceMode::Pod => NamespaceMode::Pod,
        cri::NamespaceMode::Container => NamespaceMode::Container,
        cri::NamespaceMode::Node => NamespaceMode::Node,
        cri::NamespaceMode::Target => NamespaceMode::Target,
    })
}

pub(crate) fn mappings(from: Vec<cri::IdMapping>) -> Vec<IdMapping> {
    from.into_iter()
        .map(|map| IdMapping { host_id: map.host_id, container_id: map.container_id, length: map.length })
        .collect()
}

fn capabilities(from: cri::Capability) -> Capabilities {
    Capabilities {
        add: from.add_capabilities,
        drop: from.drop_capabilities,
        add_ambient: from.add_ambient_capabilities,
    }
}

fn no_labels(field: &str, from: Option<cri::SeLinuxOption>) -> Result<(), Fault> {
    match from {
        Some(labels) if labels != cri::SeLinuxOption::default() => Err(not_done(&format!("{field}.selinux_options"))),
        _ => Ok(()),
    }
}

/// The name inside a deprecated `localhost/NAME`, or which of the two built-in choices it is.
enum Old<'a> {
    None,
    Default,
    Unconfined,
    Localhost(&'a str),
}

fn old<'a>(field: &str, text: &'a str) -> Result<Old<'a>, Fault> {
    match text {
        "" => Ok(Old::None),
        "runtime/default" | "docker/default" => Ok(Old::Default),
        "unconfined" => Ok(Old::Unconfined),
        _ => text
            .strip_prefix("localhost/")
            .map(Old::Localhost)
            .ok_or_else(|| invalid(field, format!("`{text}` is not runtime/default, unconfined or localhost/..."))),
    }
}

fn seccomp(field: &str, from: Option<cri::SecurityProfile>, path: &str) -> Result<Option<SeccompProfile>, Fault> {
    let Some(profile) = from else {
        return Ok(match old(&format!("{field}.seccomp_profile_path"), path)? {
            Old::None => None,
            Old::Default => Some(SeccompProfile::RuntimeDefault),
            Old::Unconfined => Some(SeccompProfile::Unconfined),
            Old::Localhost(path) => Some(SeccompProfile::Localhost(path.to_owned())),
        });
    };
    let field = format!("{field}.seccomp");
    Ok(Some(match profile_type(&field, &profile)? {
        ProfileType::RuntimeDefault => SeccompProfile::RuntimeDefault,
        ProfileType::Unconfined => SeccompProfile::Unconfined,
        ProfileType::Localhost => SeccompProfile::Localhost(profile.localhost_ref),
    }))
}

fn apparmor(field: &str, from: Option<cri::SecurityProfile>, name: &str) -> Result<Option<ApparmorProfile>, Fault> {
    let Some(profile) = from else {
        return Ok(match old(&format!("{field}.apparmor_profile"), name)? {
            Old::None => None,
            Old::Default => Some(ApparmorProfile::RuntimeDefault),
            Old::Unconfined => Some(ApparmorProfile::Unconfined),
            Old::Localhost(name) => Some(ApparmorProfile::Localhost(name.to_owned())),
        });
    };
    let field = format!("{field}.apparmor");
    Ok(Some(match profile_type(&field, &profile)? {
        ProfileType::RuntimeDefault => ApparmorProfile::RuntimeDefault,
        ProfileType::Unconfined => ApparmorProfile::Unconfined,
        ProfileType::Localhost => ApparmorProfile::Localhost(profile.localhost_ref),
    }))
}

fn profile_type(field: &str, profile: &cri::SecurityProfile) -> Result<ProfileType, Fault> {
    let kind: ProfileType = known(&format!("{field}.profile_type"), profile.profile_type)?;
    if kind == ProfileType::Localhost && profile.localhost_ref.is_empty() {
        return Err(invalid(&format!("{field}.localhost_ref"), "is empty, but the profile type is Localhost"));
    }
    Ok(kind)
}
