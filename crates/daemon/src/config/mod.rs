//! The configuration file: its shape and defaults. A value that parses is valid: each type refuses what cannot be acted
//! on, so that an error always has a line. `default.toml` documents every key; a test holds the two together.

mod load;
mod program;
mod value;

pub(crate) use load::{DEFAULT_TEXT, load};
pub(crate) use program::shim_program;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::path::PathBuf;
pub(crate) use value::{
    AbsolutePath, CgroupDriver, CgroupPath, HandlerKind, HostName, LogFormat, LogLevel, Name, Snapshotter,
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
    pub(crate) image: Image,
    pub(crate) registry: Registry,
}

impl Config {
    /// The socket's path: as configured, else in the state folder.
    pub(crate) fn socket_path(&self) -> PathBuf {
        self.socket
            .as_ref()
            .map_or_else(|| self.state.as_path().join("plimsolld.sock"), |path| path.as_path().to_owned())
    }

    /// The folder of CNI results: as configured, else below the root.
    pub(crate) fn cni_cache(&self) -> PathBuf {
        self.network
            .cache_dir
            .as_ref()
            .map_or_else(|| self.root.as_path().join("cni-cache"), |path| path.as_path().to_owned())
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
            image: Image::default(),
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
    /// Bytes.
    pub(crate) max_log_line: u32,
    /// Bytes per stream.
    pub(crate) exec_sync_output: u32,
}

impl Default for Runtime {
    fn default() -> Self {
        Self {
            default_handler: Name::literal("plimsoll"),
            cgroup_root: CgroupPath::literal("/plimsoll"),
            cgroup_driver: CgroupDriver::Cgroupfs,
            max_log_line: 16384,
            exec_sync_output: 16 << 20,
        }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub(crate) struct Handler {
    pub(crate) r#type: HandlerKind,
    #[serde(default)]
    pub(crate) shim: Option<AbsolutePath>,
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Network {
    pub(crate) conf_dir: AbsolutePath,
    pub(crate) bin_dirs: Vec<AbsolutePath>,
    pub(crate) cache_dir: Option<AbsolutePath>,
    /// Seconds.
    pub(crate) plugin_timeout: u32,
}

impl Default for Network {
    fn default() -> Self {
        Self {
            conf_dir: AbsolutePath::literal("/etc/cni/net.d"),
            bin_dirs: vec![AbsolutePath::literal("/opt/cni/bin"), AbsolutePath::literal("/usr/lib/cni")],
            cache_dir: None,
            plugin_timeout: 120,
        }
    }
}

#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Image {
    pub(crate) snapshotter: Snapshotter,
    pub(crate) concurrent_downloads: u8,
}

impl Default for Image {
    fn default() -> Self {
        Self { snapshotter: Snapshotter::Overlayfs, concurrent_downloads: 3 }
    }
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct Registry {
    pub(crate) hosts: BTreeMap<HostName, RegistryHost>,
}

#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub(crate) struct RegistryHost {
    pub(crate) plain_http: bool,
}

#[cfg(test)]
mod tests;
