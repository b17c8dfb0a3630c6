//! Network configuration lists (`*.conflist`) and single plugin configurations (`*.conf`), which become lists of one.

use super::names::{is_network_name, is_plugin_type};
use serde_json::{Map, Value};
use std::collections::BTreeSet;
use std::fmt;

/// The versions whose configuration and results are understood, oldest first.
pub const SUPPORTED_VERSIONS: [&str; 5] = ["0.3.0", "0.3.1", "0.4.0", "1.0.0", "1.1.0"];

/// What makes a configuration unusable. Display names the field and its value.
#[derive(Debug, PartialEq, Eq)]
pub enum ConfError {
    Json(String),
    Missing(&'static str),
    Type(&'static str),
    Version(String),
    Name(String),
    PluginType(String),
    NoPlugins,
}

impl fmt::Display for ConfError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "not JSON: {error}"),
            Self::Missing(field) => write!(f, "field {field:?} is missing"),
            Self::Type(field) => write!(f, "field {field:?} has the wrong type"),
            Self::Version(version) => {
                write!(f, "cniVersion {version:?} is not supported (supported: {})", SUPPORTED_VERSIONS.join(", "))
            }
            Self::Name(name) => write!(f, "network name {name:?} has characters other than letters, digits, '_.-'"),
            Self::PluginType(kind) => write!(f, "plugin type {kind:?} is not a plain program name"),
            Self::NoPlugins => f.write_str("the list of plugins is empty"),
        }
    }
}

impl std::error::Error for ConfError {}

/// A validated network configuration list.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkList {
    pub name: String,
    /// One of [`SUPPORTED_VERSIONS`].
    pub version: String,
    pub disable_check: bool,
    pub disable_gc: bool,
    pub plugins: Vec<Plugin>,
}

/// One plugin of a list. `body` is its object as written.
#[derive(Clone, Debug, PartialEq)]
pub struct Plugin {
    pub kind: String,
    pub capabilities: BTreeSet<String>,
    pub body: Map<String, Value>,
}

impl NetworkList {
    /// Parses a list.
    pub fn parse(text: &[u8]) -> Result<Self, ConfError> {
        let conf = object(text)?;
        let Some(Value::Array(items)) = conf.get("plugins") else {
            return Err(ConfError::Missing("plugins"));
        };
        let plugins = items.iter().map(Plugin::parse).collect::<Result<Vec<_>, _>>()?;
        Self::of(&conf, plugins)
    }

    /// Parses a single plugin's configuration as a list of one.
    pub fn parse_single(text: &[u8]) -> Result<Self, ConfError> {
        let conf = object(text)?;
        let plugin = Plugin::parse(&Value::Object(conf.clone()))?;
        Self::of(&conf, vec![plugin])
    }

    fn of(conf: &Map<String, Value>, plugins: Vec<Plugin>) -> Result<Self, ConfError> {
        if plugins.is_empty() {
            return Err(ConfError::NoPlugins);
        }
        let name = string(conf, "name")?.ok_or(ConfError::Missing("name"))?;
        if !is_network_name(&name) {
            return Err(ConfError::Name(name));
        }
        Ok(Self {
            name,
            version: version(conf)?,
            disable_check: flag(conf, "disableCheck")?,
            disable_gc: flag(conf, "disableGC")?,
            plugins,
        })
    }
}

impl Plugin {
    fn parse(value: &Value) -> Result<Self, ConfError> {
        let body = value.as_object().ok_or(ConfError::Type("plugins"))?.clone();
        let kind = string(&body, "type")?.ok_or(ConfError::Missing("type"))?;
        if !is_plugin_type(&kind) {
            return Err(ConfError::PluginType(kind));
        }
        let capabilities = match body.get("capabilities") {
            None | Some(Value::Null) => BTreeSet::new(),
            Some(Value::Object(map)) => {
                map.iter().filter(|(_, on)| **on == Value::Bool(true)).map(|(name, _)| name.clone()).collect()
            }
            Some(_) => return Err(ConfError::Type("capabilities")),
        };
        Ok(Self { kind, capabilities, body })
    }
}

/// The highest supported version that the configuration offers: `cniVersions` (1.1) or `cniVersion`.
fn version(conf: &Map<String, Value>) -> Result<String, ConfError> {
    let single = string(conf, "cniVersion")?;
    let offered: Vec<&str> = match conf.get("cniVersions") {
        None => Vec::new(),
        Some(Value::Array(items)) => items.iter().filter_map(Value::as_str).collect(),
        Some(_) => return Err(ConfError::Type("cniVersions")),
    };
    let best = SUPPORTED_VERSIONS.iter().rev().find(|v| offered.contains(v) || single.as_deref() == Some(v));
    match (best, single) {
        (Some(best), _) => Ok((*best).to_owned()),
        (None, Some(single)) => Err(ConfError::Version(single)),
        (None, None) => Err(ConfError::Missing("cniVersion")),
    }
}

fn object(text: &[u8]) -> Result<Map<String, Value>, ConfError> {
    serde_json::from_slice(text).map_err(|e| ConfError::Json(e.to_string()))
}

fn string(conf: &Map<String, Value>, field: &'static str) -> Result<Option<String>, ConfError> {
    match conf.get(field) {
        None => Ok(None),
        Some(Value::String(text)) => Ok(Some(text.clone())),
        Some(_) => Err(ConfError::Type(field)),
    }
}

/// libcni takes these as booleans and as the strings "true" and "false".
fn flag(conf: &Map<String, Value>, field: &'static str) -> Result<bool, ConfError> {
    match conf.get(field) {
        None => Ok(false),
        Some(Value::Bool(on)) => Ok(*on),
        Some(Value::String(text)) if text == "true" => Ok(true),
        Some(Value::String(text)) if text == "false" => Ok(false),
        Some(_) => Err(ConfError::Type(field)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_list_keeps_its_plugins_as_written() {
        let list = NetworkList::parse(
            br#"{"cniVersion":"1.0.0","name":"pods","disableCheck":true,"plugins":[
                {"type":"bridge","bridge":"b0","isGateway":true},
                {"type":"portmap","capabilities":{"portMappings":true,"other":false}}]}"#,
        )
        .expect("parses");
        assert_eq!(list.name, "pods");
        assert!(list.disable_check && !list.disable_gc);
        assert_eq!(list.plugins[0].body["bridge"], "b0");
        assert_eq!(list.plugins[1].capabilities, BTreeSet::from(["portMappings".to_owned()]));
    }

    #[test]
    fn a_single_configuration_is_a_list_of_one() {
        let list = NetworkList::parse_single(br#"{"cniVersion":"0.3.1","name":"n","type":"ptp"}"#).expect("parses");
        assert_eq!((list.version.as_str(), list.plugins.len()), ("0.3.1", 1));
    }

    #[test]
    fn the_highest_common_version_is_taken() {
        let text =
            br#"{"cniVersion":"9.9.9","cniVersions":["1.0.0","1.1.0","2.0.0"],"name":"n","plugins":[{"type":"p"}]}"#;
        assert_eq!(NetworkList::parse(text).expect("parses").version, "1.1.0");
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases: [(&[u8], &str); 7] = [
            (b"[", "not JSON"),
            (br#"{"cniVersion":"1.0.0","name":"n"}"#, "plugins"),
            (br#"{"cniVersion":"1.0.0","name":"n","plugins":[]}"#, "empty"),
            (br#"{"cniVersion":"1.0.0","name":"../n","plugins":[{"type":"p"}]}"#, "../n"),
            (br#"{"cniVersion":"0.2.0","name":"n","plugins":[{"type":"p"}]}"#, "0.2.0"),
            (br#"{"cniVersion":"1.0.0","name":"n","plugins":[{"type":"../../sh"}]}"#, "../../sh"),
            (br#"{"cniVersion":"1.0.0","name":"n","plugins":[{"name":"x"}]}"#, "type"),
        ];
        for (text, part) in cases {
            let error = NetworkList::parse(text).expect_err("refused").to_string();
            assert!(error.contains(part), "{error} should name {part}");
        }
    }
}
