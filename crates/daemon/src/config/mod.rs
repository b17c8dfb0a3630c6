//! The configuration file: its shape and defaults. A value that parses is valid: each type refuses what cannot be acted
//! on, so that an error always has a line. `default.toml` documents every key; a test holds the two together.

mod load;
mod program;
mod value;

pub(crate) use load::{DEFAULT_TEXT, load};
pub(crate) use program::{Programs, own_shim};
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
pub(crate) use value::{
    AbsolutePath, CgroupDriver, CgroupPath, Endpoint, HandlerKind, HostName, LogFormat, LogLevel, Name, Sandboxer,
};

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Config {
    pub(crate) root: AbsolutePath,
    pub(crate) state: AbsolutePath,
    pub(crate) socket: Option<AbsolutePath>,
    pub(crate) socket_gid: Option<u32>,
    pub(crate) log: Log,
    pub(crate) runtime: Runtime,
    pub(crate) handlers: BTreeMap<Name, Handler>,
    pub(crate) network: Network,
    pub(crate) registry: Registry,
}

impl Config {
    /// The socket's path: as configured, else in the state folder.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.socket
            .as_ref()
            .map_or_else(|| self.state.as_path().join("plimsolld.sock"), |path| path.as_path().to_owned())
    }
}

impl Default for Config {
    fn default() -> Self {
        Self {
            root: AbsolutePath::literal("/var/lib/plimsoll"),
            state: AbsolutePath::literal("/run/plimsoll"),
            socket: None,
            socket_gid: None,
            log: Log::default(),
            runtime: Runtime::default(),
            handlers: BTreeMap::from([(Name::literal("plimsoll"), Handler::default())]),
            network: Network::default(),
            registry: Registry::default(),
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Log {
    pub(crate) level: LogLevel,
    pub(crate) format: LogFormat,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Runtime {
    pub(crate) default_handler: Name,
    pub(crate) cgroup_root: CgroupPath,
    pub(crate) cgroup_driver: CgroupDriver,
    /// Seconds.
    pub(crate) shim_timeout: u32,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            default_handler: Name::literal("plimsoll"),
            cgroup_root: CgroupPath::literal("/plimsoll"),
            cgroup_driver: CgroupDriver::Cgroupfs,
            shim_timeout: 150,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Handler {
    pub(crate) r#type: HandlerKind,
    #[serde(default)]
    pub(crate) path: Option<AbsolutePath>,
    #[serde(default)]
    pub(crate) runtime: Option<AbsolutePath>,
    #[serde(default)]
    pub(crate) sandboxer: Option<Sandboxer>,
    #[serde(default)]
    pub(crate) annotations: Vec<String>,
    #[serde(default)]
    pub(crate) privileged_without_host_devices: bool,
    #[serde(default)]
    pub(crate) seccomp: Option<AbsolutePath>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    pub(crate) conf_dir: AbsolutePath,
    pub(crate) bin_dirs: Vec<AbsolutePath>,
    /// Seconds.
    pub(crate) plugin_timeout: u32,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            conf_dir: AbsolutePath::literal("/etc/cni/net.d"),
            bin_dirs: vec![AbsolutePath::literal("/opt/cni/bin"), AbsolutePath::literal("/usr/lib/cni")],
            plugin_timeout: 60,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Registry {
    pub(crate) insecure: Vec<HostName>,
    pub(crate) mirrors: BTreeMap<HostName, Vec<Endpoint>>,
}

#[cfg(test)]
mod tests;
