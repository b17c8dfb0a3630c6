//! The command line.

use crate::config::{AbsolutePath, Config, LogFormat, LogLevel};
use clap::{Parser, Subcommand, ValueEnum};
use plimsoll_fault::Fault;
use std::path::PathBuf;

/// The Plimsoll node daemon: CRI v1 for kubelet and crictl, images, snapshots, pod networks.
///
/// It holds no process: containers, their logs and exit codes live in shims, and survive it.
#[derive(Debug, Parser)]
#[command(name = "plimsolld", version, after_help = EXAMPLES)]
pub(crate) struct Flags {
    /// Configuration file [default: /etc/plimsoll/config.toml when it is there]
    #[arg(long, value_name = "FILE", global = true)]
    pub(crate) config: Option<PathBuf>,
    /// Persistent state: images, snapshots, the database
    #[arg(long, value_name = "DIR", global = true)]
    root: Option<PathBuf>,
    /// Volatile state: bundles, pod files, shim sockets
    #[arg(long, value_name = "DIR", global = true)]
    state: Option<PathBuf>,
    /// Socket of the CRI and the admin service [default: plimsolld.sock in the state folder]
    #[arg(long, value_name = "PATH", global = true)]
    socket: Option<PathBuf>,
    /// What to log
    #[arg(long, value_name = "LEVEL", global = true)]
    log_level: Option<Level>,
    /// How to log
    #[arg(long, value_name = "FORMAT", global = true)]
    log_format: Option<Format>,
    #[command(subcommand)]
    pub(crate) command: Option<Command>,
}

const EXAMPLES: &str = "Examples:
  plimsolld                                             run with /etc/plimsoll/config.toml
  plimsolld --root /tmp/p/root --state /tmp/p/state     run a second one beside it
  plimsolld config default > /etc/plimsoll/config.toml  begin a configuration
  plimsolld --config new.toml config check              judge one before using it";

#[derive(Debug, Subcommand)]
pub(crate) enum Command {
    /// Print or judge a configuration
    #[command(subcommand)]
    Config(ConfigCommand),
}

#[derive(Debug, Subcommand)]
pub(crate) enum ConfigCommand {
    /// Print every key with its meaning and default
    Default,
    /// Say whether the configuration can be used on this host
    Check,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Level {
    Error,
    Warn,
    Info,
    Debug,
    Trace,
}

#[derive(Clone, Copy, Debug, ValueEnum)]
enum Format {
    Text,
    Json,
}

impl Flags {
    /// The configuration file's values, with the flags over them.
    pub(crate) fn effective(&self) -> Result<Config, Fault> {
        let mut config = crate::config::load(self.config.as_deref())?;
        if let Some(root) = &self.root {
            config.root = absolute("--root", root)?;
        }
        if let Some(state) = &self.state {
            config.state = absolute("--state", state)?;
        }
        if let Some(socket) = &self.socket {
            config.socket = Some(absolute("--socket", socket)?);
        }
        if let Some(level) = self.log_level {
            config.log.level = match level {
                Level::Error => LogLevel::Error,
                Level::Warn => LogLevel::Warn,
                Level::Info => LogLevel::Info,
                Level::Debug => LogLevel::Debug,
                Level::Trace => LogLevel::Trace,
            };
        }
        if let Some(format) = self.log_format {
            config.log.format = match format {
                Format::Text => LogFormat::Text,
                Format::Json => LogFormat::Json,
            };
        }
        Ok(config)
    }
}

/// A path given on the command line may be relative to the working folder.
fn absolute(flag: &str, path: &std::path::Path) -> Result<AbsolutePath, Fault> {
    let path = std::path::absolute(path)
        .map_err(|error| Fault::invalid("flags", format!("{flag} {}", path.display())).because(&error))?;
    AbsolutePath::try_from(path).map_err(|complaint| Fault::invalid("flags", format!("{flag}: {complaint}")))
}
