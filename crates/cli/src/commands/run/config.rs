//! From flags to CRI: the pod and its one container. Asks nobody; what CRI leaves to the client (masked paths, seccomp) is
//! decided here as the kubelet does for an ordinary pod.

use super::{Args, Network, name};
use crate::commands::rm::LOG_FOLDER_ANNOTATION;
use crate::parse::user::Id;
use crate::parse::volume;
use crate::subject::{OWN_LABEL, OWN_VALUE};
use plimsoll_fault::{Fault, Result};
use plimsoll_proto::cri::{self, security_profile::ProfileType};
use std::collections::HashMap;
use std::path::{Path, PathBuf};

/// Kubernetes namespace of the pods that plim makes.
const NAMESPACE: &str = "plim";
/// Where logs lie when the runtime does not tell its root.
const LOGS: &str = "/var/log/plim";

/// Files that tell or change the host when seen from a container; as for an ordinary pod.
const MASKED: &[&str] = &[
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READ_ONLY: &[&str] = &["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

pub(super) struct Plan {
    pub(super) pod: cri::PodSandboxConfig,
    pub(super) container: cri::ContainerConfig,
    pub(super) handler: String,
    /// The log file that will grow.
    pub(super) log: PathBuf,
}

/// `root` is the daemon's root folder when it tells.
pub(super) fn plan(args: &Args, name: &str, root: Option<String>) -> Result<Plan> {
    let uid = name::uuid()?;
    let logs = root.map_or_else(|| PathBuf::from(LOGS), |root| Path::new(&root).join("plim-logs")).join(&uid);
    let log_file = format!("{name}.log");
    let folder = logs.to_string_lossy().into_owned();
    Ok(Plan {
        pod: pod(args, name, uid, &folder),
        container: container(args, name, &log_file)?,
        handler: args.runtime.clone().unwrap_or_default(),
        log: logs.join(log_file),
    })
}

fn pod(args: &Args, name: &str, uid: String, log_folder: &str) -> cri::PodSandboxConfig {
    let mut labels = labels(args);
    labels.insert(OWN_LABEL.to_owned(), OWN_VALUE.to_owned());
    let security = cri::LinuxSandboxSecurityContext {
        namespace_options: Some(namespaces(args)),
        privileged: args.privileged,
        seccomp: Some(seccomp(args)),
        ..Default::default()
    };
    cri::PodSandboxConfig {
        metadata: Some(cri::PodSandboxMetadata {
            name: name.to_owned(),
            uid,
            namespace: NAMESPACE.to_owned(),
            attempt: 0,
        }),
        hostname: hostname(args, name),
        log_directory: log_folder.to_owned(),
        port_mappings: args.publish.clone(),
        labels,
        annotations: HashMap::from([(LOG_FOLDER_ANNOTATION.to_owned(), log_folder.to_owned())]),
        linux: Some(cri::LinuxPodSandboxConfig {
            cgroup_parent: args.cgroup_parent.clone().unwrap_or_default(),
            security_context: Some(security),
            ..Default::default()
        }),
        ..Default::default()
    }
}

/// With the host's network the pod has the host's name too, unless one is asked for.
fn hostname(args: &Args, name: &str) -> String {
    match (&args.hostname, args.network) {
        (Some(hostname), _) => hostname.clone(),
        (None, Network::Host) => String::new(),
        (None, Network::Cni) => name.replace(['_', '.'], "-").trim_end_matches('-').to_owned(),
    }
}

fn labels(args: &Args) -> HashMap<String, String> {
    args.label.iter().cloned().collect()
}

fn namespaces(args: &Args) -> cri::NamespaceOption {
    let network = match args.network {
        Network::Cni => cri::NamespaceMode::Pod,
        Network::Host => cri::NamespaceMode::Node,
    };
    cri::NamespaceOption { network: network.into(), pid: cri::NamespaceMode::Container.into(), ..Default::default() }
}

fn seccomp(args: &Args) -> cri::SecurityProfile {
    let kind = if args.privileged { ProfileType::Unconfined } else { ProfileType::RuntimeDefault };
    cri::SecurityProfile { profile_type: kind.into(), localhost_ref: String::new() }
}

fn container(args: &Args, name: &str, log_file: &str) -> Result<cri::ContainerConfig> {
    let (command, arguments) = command(args);
    let image = cri::ImageSpec {
        image: args.image.clone(),
        user_specified_image: args.image.clone(),
        runtime_handler: args.runtime.clone().unwrap_or_default(),
        ..Default::default()
    };
    Ok(cri::ContainerConfig {
        metadata: Some(cri::ContainerMetadata { name: name.to_owned(), attempt: 0 }),
        image: Some(image),
        command,
        args: arguments,
        working_dir: args.workdir.clone().unwrap_or_default(),
        envs: args.env.iter().cloned().filter_map(|variable| variable.resolve(|name| std::env::var_os(name))).collect(),
        mounts: mounts(args)?,
        labels: labels(args),
        log_path: log_file.to_owned(),
        linux: Some(cri::LinuxContainerConfig {
            resources: Some(resources(args)),
            security_context: Some(security(args)),
        }),
        ..Default::default()
    })
}

/// CRI's command is the entrypoint and its args are the command. An empty `--entrypoint` takes the image's away, which CRI
/// can only say by making the first word the entrypoint.
fn command(args: &Args) -> (Vec<String>, Vec<String>) {
    match args.entrypoint.as_deref() {
        None => (Vec::new(), args.command.clone()),
        Some("") => {
            let mut words = args.command.iter().cloned();
            (words.next().into_iter().collect(), words.collect())
        }
        Some(program) => (vec![program.to_owned()], args.command.clone()),
    }
}

fn mounts(args: &Args) -> Result<Vec<cri::Mount>> {
    let here = std::env::current_dir()
        .map_err(|error| Fault::invalid("read flags", "the working folder cannot be read").because(&error))?;
    let mut mounts = args.volume.clone();
    for mount in &mut mounts {
        volume::resolve(mount, &here).map_err(|what| Fault::invalid("read flags", what))?;
    }
    Ok(mounts)
}

fn resources(args: &Args) -> cri::LinuxContainerResources {
    let mut resources = cri::LinuxContainerResources::default();
    if let Some(bytes) = args.memory {
        resources.memory_limit_in_bytes = bytes;
        // Memory and swap together: the same figure leaves no swap.
        resources.memory_swap_limit_in_bytes = bytes;
    }
    if let Some(quota) = args.cpus {
        resources.cpu_quota = quota;
        resources.cpu_period = 100_000;
    }
    resources
}

fn security(args: &Args) -> cri::LinuxContainerSecurityContext {
    let paths = |all: &[&str]| if args.privileged { Vec::new() } else { all.iter().map(|&p| p.to_owned()).collect() };
    let mut context = cri::LinuxContainerSecurityContext {
        capabilities: Some(cri::Capability {
            add_capabilities: args.cap_add.iter().map(|name| bare(name)).collect(),
            drop_capabilities: args.cap_drop.iter().map(|name| bare(name)).collect(),
            add_ambient_capabilities: Vec::new(),
        }),
        privileged: args.privileged,
        namespace_options: Some(namespaces(args)),
        readonly_rootfs: args.read_only,
        masked_paths: paths(MASKED),
        readonly_paths: paths(READ_ONLY),
        seccomp: Some(seccomp(args)),
        ..Default::default()
    };
    if let Some(user) = &args.user {
        match &user.user {
            Id::Number(uid) => context.run_as_user = Some(cri::Int64Value { value: *uid }),
            Id::Name(name) => name.clone_into(&mut context.run_as_username),
        }
        context.run_as_group = user.group.map(|value| cri::Int64Value { value });
    }
    context
}

/// CRI wants capability names without their prefix.
fn bare(name: &str) -> String {
    let upper = name.to_ascii_uppercase();
    upper.strip_prefix("CAP_").unwrap_or(&upper).to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use clap::Parser;

    #[derive(Parser)]
    struct Line {
        #[command(flatten)]
        args: Args,
    }

    fn planned(words: &[&str]) -> Plan {
        let line = Line::try_parse_from([&["run"], words].concat()).expect("parses");
        line.args.check().expect("consistent");
        plan(&line.args, "web", Some("/r".into())).expect("plan")
    }

    #[test]
    fn entrypoint_and_command_as_people_know_them() {
        let words = |line: &[&str]| {
            let c = planned(line).container;
            (c.command.join(" "), c.args.join(" "))
        };
        assert_eq!(words(&["i"]), (String::new(), String::new()));
        assert_eq!(words(&["i", "a", "-b"]), (String::new(), "a -b".into()));
        assert_eq!(words(&["--entrypoint", "sh", "i", "-c", "x"]), ("sh".into(), "-c x".into()));
        assert_eq!(words(&["--entrypoint", "", "i", "a", "b"]), ("a".into(), "b".into()));
    }

    #[test]
    fn logs_lie_below_the_root_in_a_folder_named_by_the_uid() {
        let plan = planned(&["i"]);
        let uid = plan.pod.metadata.expect("metadata").uid;
        assert_eq!(plan.log, Path::new("/r/plim-logs").join(&uid).join("web.log"));
        assert!(plan.pod.log_directory.ends_with(&uid));
    }

    #[test]
    fn an_ordinary_container_is_confined_and_a_privileged_one_is_not() {
        let context =
            |words: &[&str]| planned(words).container.linux.and_then(|linux| linux.security_context).expect("context");
        let plain = context(&["--cap-add", "cap_net_admin", "-u", "7:8", "i"]);
        assert_eq!(plain.seccomp.expect("seccomp").profile_type, ProfileType::RuntimeDefault as i32);
        assert!(plain.masked_paths.contains(&"/proc/kcore".to_owned()));
        assert_eq!(plain.capabilities.expect("caps").add_capabilities, ["NET_ADMIN"]);
        assert_eq!(plain.run_as_group.map(|g| g.value), Some(8));
        let strong = context(&["--privileged", "i"]);
        assert!(strong.masked_paths.is_empty() && strong.privileged);
    }

    #[test]
    fn flags_that_contradict_or_are_not_there_are_refused() {
        let refused = |words: &[&str]| match Line::try_parse_from([&["run"], words].concat()) {
            Ok(line) => line.args.check().expect_err("refused").to_string(),
            Err(error) => error.to_string(),
        };
        assert!(refused(&["-it", "i"]).contains("-it is not there yet"));
        assert!(refused(&["--network", "host", "-p", "1:2", "i"]).contains("--network host"));
        assert!(refused(&["-d", "--rm", "i"]).contains("cannot be used with"));
        assert!(refused(&["-p", "80", "i"]).contains("random host port"));
        assert!(refused(&["-m", "lots", "i"]).contains("is not a size"));
        assert!(refused(&["--name", "a/b", "i"]).contains("a/b"));
    }
}
