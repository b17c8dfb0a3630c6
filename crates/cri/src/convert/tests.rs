use super::*;
use plimsoll_core::container::{ApparmorProfile, SeccompProfile};
use plimsoll_proto::cri;

fn container() -> cri::ContainerConfig {
    cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: "c".into(), attempt: 0 }),
        image: Some(cri::ImageSpec { image: "busybox".into(), ..Default::default() }),
        ..Default::default()
    }
}

fn secured(context: cri::LinuxContainerSecurityContext) -> cri::ContainerConfig {
    let linux = cri::LinuxContainerConfig { security_context: Some(context), ..Default::default() };
    cri::ContainerConfig { linux: Some(linux), ..container() }
}

fn refused(config: cri::ContainerConfig) -> Fault {
    container::config(config).expect_err("must be refused")
}

#[test]
fn every_stop_signal_has_a_name_that_leads_back() {
    for number in 1..=65 {
        let name = signal::name("s", number).expect("known");
        assert!(name.starts_with("SIG") && !name.contains('_'), "{name}");
        assert_eq!(signal::number(&name), number, "{name}");
    }
    assert_eq!(signal::name("s", 36).expect("known"), "SIGRTMIN+1");
    assert_eq!(signal::name("s", 0).expect("known"), "");
    signal::name("s", 66).expect_err("unknown");
}

#[test]
fn refusals_name_the_field_and_its_pointer() {
    let mount = cri::Mount { container_path: "/m".into(), recursive_read_only: true, ..Default::default() };
    let fault = refused(cri::ContainerConfig { mounts: vec![mount], ..container() });
    assert!(fault.to_string().starts_with("caller: config.mounts[0].recursive_read_only: needs"), "{fault}");
    assert_eq!(fault.details().pointer.as_deref(), Some("/config/mounts/0/recursive_read_only"));
    let group =
        cri::LinuxContainerSecurityContext { run_as_group: Some(cri::Int64Value { value: 1 }), ..Default::default() };
    assert!(refused(secured(group)).to_string().contains("security_context.run_as_group"));
    let options = cri::Mount { container_path: "/m".into(), mount_options: vec!["x".into()], ..Default::default() };
    let fault = refused(cri::ContainerConfig { mounts: vec![options], ..container() });
    assert_eq!(fault.class(), Kind::Unimplemented);
    assert!(fault.to_string().contains("config.mounts[0].mount_options"), "{fault}");
}

#[test]
#[allow(deprecated, reason = "clients still send it")]
fn deprecated_profiles_decide_only_without_their_successor() {
    let mut context = cri::LinuxContainerSecurityContext {
        seccomp_profile_path: "localhost//p.json".into(),
        apparmor_profile: "runtime/default".into(),
        ..Default::default()
    };
    let security = container::config(secured(context.clone())).expect("accepted").security;
    assert_eq!(security.seccomp, Some(SeccompProfile::Localhost("/p.json".into())));
    assert_eq!(security.apparmor, Some(ApparmorProfile::RuntimeDefault));
    let unconfined = cri::security_profile::ProfileType::Unconfined.into();
    context.seccomp = Some(cri::SecurityProfile { profile_type: unconfined, localhost_ref: String::new() });
    let security = container::config(secured(context.clone())).expect("accepted").security;
    assert_eq!(security.seccomp, Some(SeccompProfile::Unconfined));
    context.seccomp = None;
    context.seccomp_profile_path = "whatever".into();
    assert!(refused(secured(context)).to_string().contains("seccomp_profile_path"));
}

#[test]
fn a_pod_needs_a_name_and_legal_ports() {
    let metadata = cri::PodSandboxMetadata { name: "p".into(), ..Default::default() };
    let mut config = cri::PodSandboxConfig { metadata: Some(metadata), ..Default::default() };
    pod::config(config.clone()).expect("accepted");
    config.port_mappings = vec![cri::PortMapping { container_port: 70000, ..Default::default() }];
    let fault = pod::config(config.clone()).expect_err("refused");
    assert!(fault.to_string().contains("config.port_mappings[0].container_port: 70000 is not a port"), "{fault}");
    config.metadata = None;
    pod::config(config).expect_err("refused");
}
