//! From `config.json` to `Plan`: pure. Every default is decided here and every `Option` is gone past it, except where
//! absence itself is the decision. What cannot be done is refused here, by JSON pointer, before anything is made; only a seccomp
//! profile waits until there is time for it.

mod devices;
mod filter;
mod mappings;
mod mounts;
mod namespaces;
mod net_devices;
mod number_list;
mod options;
mod process;
mod rdt;
mod resources;
mod scheduling;
mod sysctl;

pub(crate) use devices::DevicePlan;
pub(crate) use filter::{Agent, FilterPlan};
pub(crate) use mappings::{IdMaps, lines as mapping_lines, parse as parse_mappings};
pub(crate) use mounts::{Idmap, MountKind, MountPlan};
pub(crate) use namespaces::{NamespacePlan, kind_name, names as namespace_names};
pub(crate) use net_devices::NetDevicePlan;
pub(crate) use options::names as mount_options;
pub(crate) use process::{ProcessPlan, rlimit_name};
pub(crate) use rdt::RdtPlan;
pub(crate) use resources::{
    Missing, Rule, Setting, check as check_resources, device_program, rules, swap_alone, v1_devices, v1_settings,
    v2_settings, weight,
};
pub(crate) use scheduling::{Domain, MEMORY_MODES, Scheduling, memory_flags};
pub(crate) use sysctl::namespace_of;

use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::seccomp::Unread;
use plimsoll_spec::runtime::{Hooks, Personality, Resources, Spec};
use rustix::mount::MountPropagationFlags;
use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

/// Everything about one container, decided.
#[derive(Debug)]
pub(crate) struct Plan {
    /// Absolute, as is the rootfs.
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    pub readonly: bool,
    pub propagation: MountPropagationFlags,
    pub namespaces: NamespacePlan,
    pub net_devices: Vec<NetDevicePlan>,
    pub hostname: Option<String>,
    pub domainname: Option<String>,
    /// SELinux context of every filesystem that is made for the container.
    pub mount_label: Option<String>,
    pub mounts: Vec<MountPlan>,
    pub devices: Vec<DevicePlan>,
    /// Whether `/dev` is ours to fill: not when it is a bind mount of the host's.
    pub own_dev: bool,
    pub masked: Vec<PathBuf>,
    pub readonly_paths: Vec<PathBuf>,
    /// Path below `/proc/sys` and value.
    pub sysctls: Vec<(String, String)>,
    pub cgroup_path: Option<String>,
    pub resources: Resources,
    pub rdt: Option<RdtPlan>,
    pub process: ProcessPlan,
    pub domain: Domain,
    /// Compiled later, by [`FilterPlan::new`].
    pub seccomp: Option<Unread>,
    pub hooks: Hooks,
    pub annotations: BTreeMap<String, String>,
    /// What is passed over, as the specification or runc does: the runtime says so and goes on.
    pub warnings: Vec<String>,
}

impl Plan {
    /// Decides everything about `spec`, whose relative paths are relative to `bundle` (absolute).
    pub(crate) fn new(spec: Spec, bundle: &Path) -> Result<Self, Fault> {
        version(&spec.oci_version)?;
        let linux = spec.linux.unwrap_or_default();
        let root = spec.root.ok_or_else(|| bad_config("/root", "missing"))?;
        let process = spec.process.ok_or_else(|| bad_config("/process", "missing"))?;
        let process = ProcessPlan::new(&process, "/process")?;
        let namespaces = NamespacePlan::new(&linux)?;
        let mount_label = process::label(linux.mount_label.as_deref(), "/linux/mountLabel")?;
        let mounts = mounts::plan(&spec.mounts, bundle, &namespaces, mount_label.as_deref())?;
        let own_dev = !mounts.iter().any(|m| m.is_bind() && m.target == Path::new("/dev"));
        Ok(Self {
            bundle: bundle.to_owned(),
            rootfs: absolute(bundle, &root.path),
            readonly: root.readonly,
            propagation: propagation(linux.rootfs_propagation.as_deref())?,
            hostname: namespaced(spec.hostname, namespaces.own_uts(), "/hostname")?,
            domainname: namespaced(spec.domainname, namespaces.own_uts(), "/domainname")?,
            own_dev,
            mount_label,
            devices: devices::plan(&linux.devices)?,
            masked: paths(&linux.masked_paths, "/linux/maskedPaths")?,
            readonly_paths: paths(&linux.readonly_paths, "/linux/readonlyPaths")?,
            net_devices: net_devices::plan(&linux.net_devices, &namespaces)?,
            sysctls: sysctl::plan(&linux.sysctl, &namespaces)?,
            cgroup_path: linux.cgroups_path.filter(|p| !p.is_empty()),
            rdt: linux.intel_rdt.as_ref().map(rdt::plan).transpose()?,
            resources: resources::check(linux.resources.unwrap_or_default())?,
            domain: Domain::new(linux.personality.as_ref(), linux.memory_policy.as_ref())?,
            warnings: warnings(&process, linux.personality.as_ref()),
            process,
            seccomp: linux.seccomp,
            hooks: hooks(spec.hooks.unwrap_or_default())?,
            annotations: spec.annotations,
            namespaces,
            mounts,
        })
    }

    /// Then devices are denied only when everything is mounted.
    pub(crate) fn mounts_device(&self) -> bool {
        self.mounts.iter().any(MountPlan::opens_device)
    }
}

/// 1.x of any minor: newer minors only add fields.
fn version(version: &str) -> Result<(), Fault> {
    match version.split('.').next() {
        Some("1") => Ok(()),
        _ => Err(bad_config("/ociVersion", format!("{version:?} is not a version 1"))),
    }
}

fn warnings(process: &ProcessPlan, personality: Option<&Personality>) -> Vec<String> {
    let mut out: Vec<String> = process.warnings().collect();
    if personality.is_some_and(|given| !given.flags.is_empty()) {
        out.push("config.json: /linux/personality/flags: the specification has none: left out".to_owned());
    }
    out
}

fn propagation(name: Option<&str>) -> Result<MountPropagationFlags, Fault> {
    type F = MountPropagationFlags;
    Ok(match name.unwrap_or("rslave") {
        "" | "rslave" => F::DOWNSTREAM | F::REC,
        "slave" => F::DOWNSTREAM,
        "private" => F::PRIVATE,
        "rprivate" => F::PRIVATE | F::REC,
        "shared" => F::SHARED,
        "rshared" => F::SHARED | F::REC,
        "unbindable" => F::UNBINDABLE,
        "runbindable" => F::UNBINDABLE | F::REC,
        other => return Err(bad_config("/linux/rootfsPropagation", format!("unknown value {other:?}"))),
    })
}

fn namespaced(value: Option<String>, own: bool, pointer: &str) -> Result<Option<String>, Fault> {
    match value.filter(|v| !v.is_empty()) {
        Some(_) if !own => Err(bad_config(pointer, "needs a uts namespace of its own")),
        other => Ok(other),
    }
}

/// In the order in which they run.
pub(crate) const HOOKS: [&str; 6] =
    ["prestart", "createRuntime", "createContainer", "startContainer", "poststart", "poststop"];

fn hooks(hooks: Hooks) -> Result<Hooks, Fault> {
    let lists = [
        &hooks.prestart,
        &hooks.create_runtime,
        &hooks.create_container,
        &hooks.start_container,
        &hooks.poststart,
        &hooks.poststop,
    ];
    for (name, list) in HOOKS.iter().zip(lists) {
        for (index, hook) in list.iter().enumerate() {
            let pointer = format!("/hooks/{name}/{index}");
            if !hook.path.starts_with('/') {
                return Err(bad_config(&format!("{pointer}/path"), format!("{:?} is not absolute", hook.path)));
            }
            if hook.timeout.is_some_and(|t| t <= 0) {
                return Err(bad_config(&format!("{pointer}/timeout"), "must be above zero"));
            }
        }
    }
    Ok(hooks)
}

fn paths(list: &[String], pointer: &str) -> Result<Vec<PathBuf>, Fault> {
    let one = |(index, path): (usize, &String)| {
        if path.starts_with('/') {
            Ok(PathBuf::from(path))
        } else {
            Err(bad_config(&format!("{pointer}/{index}"), format!("{path:?} is not absolute")))
        }
    };
    list.iter().enumerate().map(one).collect()
}

fn absolute(bundle: &Path, path: &str) -> PathBuf {
    bundle.join(path)
}
