//! From a file to a `Config`, every complaint with file and line.

use super::{Config, Handler, HandlerKind, Name};
use plimsoll_fault::{Fault, Kind, Layer};
use std::io::Read;
use std::path::Path;

/// The documented default configuration, as `plimsolld config default` prints it.
pub(crate) const DEFAULT_TEXT: &str = include_str!("default.toml");

/// Where the configuration is looked for when no flag names it; there it may be absent.
const DEFAULT_PATH: &str = "/etc/plimsoll/config.toml";

/// A configuration larger than this is a mistake, not a configuration.
const MAX_CONFIG_BYTES: u64 = 1 << 20;

/// Reads `path`, or the default place (built-in values when there is no such file).
pub(crate) fn load(path: Option<&Path>) -> Result<Config, Fault> {
    let (path, required) = path.map_or((Path::new(DEFAULT_PATH), false), |path| (path, true));
    let file = match std::fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound && !required => return Ok(Config::default()),
        Err(error) => return Err(config_fault(format!("cannot open {}", path.display())).because(&error)),
    };
    let mut text = String::new();
    file.take(MAX_CONFIG_BYTES + 1)
        .read_to_string(&mut text)
        .map_err(|error| config_fault(format!("cannot read {}", path.display())).because(&error))?;
    if text.len() as u64 > MAX_CONFIG_BYTES {
        return Err(config_fault(format!("{} is larger than {MAX_CONFIG_BYTES} bytes", path.display())));
    }
    parse(&text, path)
}

/// Parses `text`; `path` is only for messages.
pub(crate) fn parse(text: &str, path: &Path) -> Result<Config, Fault> {
    let config: Config = toml::from_str(text).map_err(|error| {
        let place = error.span().map_or_else(
            || path.display().to_string(),
            |span| format!("{}:{}", path.display(), line_of(text, span.start)),
        );
        config_fault(format!("{place}: {}", error.message().replace('\n', " "))).detail(|d| d.path = Some(place))
    })?;
    check(&config, path)?;
    Ok(config)
}

/// What needs two keys to judge.
fn check(config: &Config, path: &Path) -> Result<(), Fault> {
    let default = &config.runtime.default_handler;
    if !config.handlers.contains_key(default) {
        return Err(config_fault(format!(
            "{}: runtime.default_handler = \"{}\", but there is no table [handlers.{}]",
            path.display(),
            default.as_str(),
            default.as_str()
        )));
    }
    let nameless = |(_, handler): &(&Name, &Handler)| handler.r#type == HandlerKind::Oci && handler.path.is_none();
    if let Some((name, _)) = config.handlers.iter().find(nameless) {
        let name = name.as_str();
        return Err(config_fault(format!(
            "{}: handlers.{name}.type is \"oci\", but there is no handlers.{name}.path",
            path.display()
        )));
    }
    if config.network.bin_dirs.is_empty() {
        return Err(config_fault(format!("{}: network.bin_dirs is empty", path.display())));
    }
    for (key, seconds) in [
        ("network.plugin_timeout", config.network.plugin_timeout),
        ("runtime.shim_timeout", config.runtime.shim_timeout),
    ] {
        if seconds == 0 {
            return Err(config_fault(format!("{}: {key} is 0", path.display())));
        }
    }
    Ok(())
}

fn line_of(text: &str, offset: usize) -> usize {
    text.as_bytes().iter().take(offset).filter(|byte| **byte == b'\n').count() + 1
}

fn config_fault(what: String) -> Fault {
    Fault::new(Layer::Daemon, "config", what).kind(Kind::InvalidArgument)
}
