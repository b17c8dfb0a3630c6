//! What the wiring decides for this node: folders, limits, handlers and defaults. Parsed and validated by the daemon.

use crate::Features;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

/// Everything `core` must be told. Nothing here is read from the environment.
#[derive(Clone, Debug)]
pub struct Config {
    /// Persistent root folder (`--root`).
    pub root: PathBuf,
    /// Volatile state folder (`--state`).
    pub state: PathBuf,
    /// The daemon's own socket, told to shims as `-address`.
    pub socket: PathBuf,
    /// Handlers by name; the empty handler of a request means `default_handler`.
    pub handlers: BTreeMap<String, Handler>,
    pub default_handler: String,
    /// Cgroup parent of pods that name none, e.g. `/plimsoll`.
    pub cgroup_root: String,
    /// Our shim, which is also the program that writes the logs of foreign shims' containers.
    pub own_shim: PathBuf,
    /// cgroup paths of pods are systemd slices.
    pub systemd_cgroup: bool,
    pub network: NetworkConfig,
    /// Environment variables every container gets before the image's, e.g. `PATH`.
    pub default_env: Vec<(String, String)>,
    /// Seccomp profile when the request names none: `RuntimeDefault` when true, else unconfined.
    pub seccomp_by_default: bool,
    pub timeouts: Timeouts,
}

/// What keeps a pod.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Controller {
    /// The shim itself, by its Sandbox service.
    #[default]
    Shim,
    /// A container that sleeps.
    Container,
}

/// One RuntimeClass handler.
#[derive(Clone, Debug)]
pub struct Handler {
    /// The shim binary: an absolute path, or a name looked up beside the daemon and then in `PATH`.
    pub shim: PathBuf,
    /// It is somebody else's: it knows no flag, sink or service that only ours has.
    pub foreign: bool,
    /// It is of containerd 2.0 or later, and reads parameters from standard input: `shim::reads_parameters`.
    pub parameters: bool,
    pub controller: Controller,
    /// OCI runtime program for shims that run one; `None` means the one that the shim itself chooses.
    pub runtime: Option<PathBuf>,
    /// Of the OCI runtime.
    pub features: Features,
    /// The profile that `RuntimeDefault` means, in OCI form; `None`: ours.
    pub seccomp: Option<PathBuf>,
    /// Exact annotation keys of the pod that may reach `config.json`. Empty by default.
    pub annotations: Vec<String>,
    /// Privileged containers of this handler do not get the host's devices.
    pub privileged_without_host_devices: bool,
}

#[derive(Clone, Debug)]
pub struct NetworkConfig {
    /// Folder of `*.conflist`, `*.conf` and `*.json`; the first file in name order is used.
    pub conf_dir: PathBuf,
    pub bin_dirs: Vec<PathBuf>,
}

/// How long a step may take before it is a Fault.
#[derive(Clone, Debug)]
pub struct Timeouts {
    /// From the shim's start to the address it prints.
    pub shim_start: Duration,
    /// A shim's answer to a call that does work: create, start, kill, delete.
    pub shim_work: Duration,
    /// One CNI plugin.
    pub cni: Duration,
}

impl Default for Timeouts {
    fn default() -> Self {
        Self {
            shim_start: Duration::from_secs(10),
            // Longer than the shim's own limits, so that its fault, which names the stage, arrives first.
            shim_work: Duration::from_secs(150),
            cni: Duration::from_secs(60),
        }
    }
}

impl Default for Handler {
    fn default() -> Self {
        Self {
            shim: PathBuf::from("containerd-shim-plimsoll-v1"),
            foreign: false,
            parameters: false,
            controller: Controller::Shim,
            runtime: None,
            features: Features::linked(),
            seccomp: None,
            annotations: Vec::new(),
            privileged_without_host_devices: false,
        }
    }
}

impl Config {
    /// The built-in defaults for the given folders: one handler `plimsoll`, CNI in the usual places.
    pub fn new(root: PathBuf, state: PathBuf, socket: PathBuf) -> Self {
        Self {
            root,
            state,
            socket,
            handlers: BTreeMap::from([("plimsoll".to_owned(), Handler::default())]),
            default_handler: "plimsoll".to_owned(),
            cgroup_root: "/plimsoll".to_owned(),
            own_shim: PathBuf::from("containerd-shim-plimsoll-v1"),
            systemd_cgroup: false,
            network: NetworkConfig {
                conf_dir: PathBuf::from("/etc/cni/net.d"),
                bin_dirs: vec![PathBuf::from("/opt/cni/bin"), PathBuf::from("/usr/lib/cni")],
            },
            default_env: Vec::new(),
            seccomp_by_default: false,
            timeouts: Timeouts::default(),
        }
    }
}
