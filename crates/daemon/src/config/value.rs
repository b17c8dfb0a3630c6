//! The values of the configuration that are more than a number or a flag. Each is made only by parsing.

use serde::{Deserialize, Serialize};
use std::path::{Component, Path, PathBuf};

/// An absolute path without `..`.
#[derive(Clone, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "PathBuf", into = "PathBuf")]
pub(crate) struct AbsolutePath(PathBuf);

impl AbsolutePath {
    /// For built-in defaults, which are absolute as written.
    pub(super) fn literal(path: &'static str) -> Self {
        Self(PathBuf::from(path))
    }

    pub(crate) fn as_path(&self) -> &Path {
        &self.0
    }
}

impl TryFrom<PathBuf> for AbsolutePath {
    type Error = String;

    fn try_from(path: PathBuf) -> Result<Self, String> {
        if !path.is_absolute() {
            return Err(format!("`{}` is not an absolute path", path.display()));
        }
        if path.components().any(|part| part == Component::ParentDir) {
            return Err(format!("`{}` contains `..`", path.display()));
        }
        Ok(Self(path))
    }
}

impl From<AbsolutePath> for PathBuf {
    fn from(path: AbsolutePath) -> Self {
        path.0
    }
}

/// A text newtype that is checked by `$check`, which returns the complaint.
macro_rules! checked_text {
    ($(#[$doc:meta])* $name:ident, $check:expr) => {
        $(#[$doc])*
        #[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
        #[serde(try_from = "String", into = "String")]
        pub(crate) struct $name(String);

        impl $name {
            /// For built-in defaults, which are valid as written.
            #[allow(dead_code)]
            pub(super) fn literal(text: &'static str) -> Self {
                Self(text.to_owned())
            }

            pub(crate) fn as_str(&self) -> &str {
                &self.0
            }
        }

        impl TryFrom<String> for $name {
            type Error = String;

            fn try_from(text: String) -> Result<Self, String> {
                let check: fn(&str) -> Result<(), String> = $check;
                check(&text)?;
                Ok(Self(text))
            }
        }

        impl From<$name> for String {
            fn from(value: $name) -> Self {
                value.0
            }
        }
    };
}

checked_text!(
    /// A handler's name: a DNS label, as Kubernetes demands of `RuntimeClass.handler`.
    Name,
    |text| {
        let fits = |c: char| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-';
        let ends = |text: &str| text.starts_with('-') || text.ends_with('-');
        if text.is_empty() || text.len() > 63 || !text.chars().all(fits) || ends(text) {
            return Err(format!("`{text}` is not a handler name (a-z, 0-9 and -, at most 63)"));
        }
        Ok(())
    }
);

checked_text!(
    /// A cgroup below the hierarchy's root, as an absolute path.
    CgroupPath,
    |text| {
        let parts = Path::new(text).components().skip(1);
        if !text.starts_with('/') || text.len() < 2 || !parts.clone().all(|part| matches!(part, Component::Normal(_))) {
            return Err(format!("`{text}` is not a cgroup below the root (such as /plimsoll)"));
        }
        Ok(())
    }
);

checked_text!(
    /// A registry's `host` or `host:port`; `*` for all where a default is meant.
    HostName,
    |text| {
        if text == "*" {
            return Ok(());
        }
        let fits = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '-' | ':' | '[' | ']');
        if text.is_empty() || text.len() > 255 || !text.chars().all(fits) {
            return Err(format!("`{text}` is not a registry host (host or host:port, without scheme and path)"));
        }
        Ok(())
    }
);

checked_text!(
    /// A registry's base URL.
    Endpoint,
    |text| {
        let rest = text.strip_prefix("https://").or_else(|| text.strip_prefix("http://")).unwrap_or_default();
        if rest.is_empty() || rest.starts_with('/') || rest.contains(|c: char| c.is_whitespace() || c == '@') {
            return Err(format!("`{text}` is not a registry endpoint (http://host:port or https://host)"));
        }
        Ok(())
    }
);

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogLevel {
    Error,
    Warn,
    #[default]
    Info,
    Debug,
    Trace,
}

impl LogLevel {
    pub(crate) fn name(self) -> &'static str {
        match self {
            Self::Error => "error",
            Self::Warn => "warn",
            Self::Info => "info",
            Self::Debug => "debug",
            Self::Trace => "trace",
        }
    }
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum LogFormat {
    #[default]
    Text,
    Json,
}

#[derive(Clone, Copy, Debug, Default, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub(crate) enum HandlerKind {
    #[default]
    Shim,
    Oci,
}

impl TryFrom<String> for HandlerKind {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "shim" => Ok(Self::Shim),
            "oci" => Ok(Self::Oci),
            "vm" => Err(format!("handler type `{text}` is not implemented yet; implemented: shim, oci")),
            _ => Err(format!("`{text}` is not a handler type; there are: shim, oci")),
        }
    }
}

/// Who keeps a pod: the shim, by its Sandbox service, or a container that sleeps.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub(crate) enum Sandboxer {
    Shim,
    Container,
}

#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(try_from = "String", rename_all = "lowercase")]
pub(crate) enum CgroupDriver {
    Cgroupfs,
}

impl TryFrom<String> for CgroupDriver {
    type Error = String;

    fn try_from(text: String) -> Result<Self, String> {
        match text.as_str() {
            "cgroupfs" => Ok(Self::Cgroupfs),
            "systemd" => Err("cgroup driver `systemd` is not implemented yet; implemented: cgroupfs".to_owned()),
            _ => Err(format!("`{text}` is not a cgroup driver; there is: cgroupfs")),
        }
    }
}
