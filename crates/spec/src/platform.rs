//! Platforms (OCI image-spec, image-index.md): normalisation of names and which manifest of an index fits a host best.

use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Operating system, architecture and variant, in Go's names.
#[derive(Clone, Debug, Default, PartialEq, Eq, Hash, Serialize, Deserialize)]
#[serde(default)]
pub struct Platform {
    pub architecture: String,
    pub os: String,
    #[serde(rename = "os.version", skip_serializing_if = "String::is_empty")]
    pub os_version: String,
    #[serde(
        rename = "os.features",
        skip_serializing_if = "Vec::is_empty",
        deserialize_with = "crate::image::null_default"
    )]
    pub os_features: Vec<String>,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub variant: String,
}

/// A platform text that is not `os/arch[/variant]`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlatformError(String);

impl fmt::Display for PlatformError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "platform {:?} is not os/architecture[/variant]", self.0)
    }
}

impl std::error::Error for PlatformError {}

impl Platform {
    /// The platform this program was built for.
    pub fn host() -> Self {
        Self { os: "linux".into(), architecture: std::env::consts::ARCH.into(), ..Self::default() }.normalized()
    }

    /// Go's names for what kernels, users and old images call otherwise; the default variant of arm is v7, of arm64 none (v8).
    #[must_use]
    pub fn normalized(mut self) -> Self {
        self.os = self.os.to_ascii_lowercase();
        self.architecture = self.architecture.to_ascii_lowercase();
        self.variant = self.variant.to_ascii_lowercase();
        let (architecture, variant) = match (self.architecture.as_str(), self.variant.as_str()) {
            ("x86_64" | "x86-64" | "amd64", "v1") | ("x86_64" | "x86-64", "") => ("amd64", ""),
            ("x86_64" | "x86-64", v) => ("amd64", v),
            ("i386" | "i486" | "i586" | "i686" | "x86", _) => ("386", ""),
            ("aarch64" | "arm64", "" | "8" | "v8") => ("arm64", ""),
            ("aarch64", v) => ("arm64", v),
            ("armhf", _) | ("arm", "" | "7") => ("arm", "v7"),
            ("armel", _) | ("arm", "6") => ("arm", "v6"),
            ("arm", "5") => ("arm", "v5"),
            ("powerpc64le", v) => ("ppc64le", v),
            (a, v) => (a, v),
        };
        (self.architecture, self.variant) = (architecture.to_owned(), variant.to_owned());
        self
    }

    /// How well an image for `offered` runs on this host: smaller is better, `None` is not at all. An exact variant is 0,
    /// each older variant of the same family one more. A host of unknown amd64 variant takes only the baseline.
    pub fn rank(&self, offered: &Platform) -> Option<u32> {
        let host = self.clone().normalized();
        let offered = offered.clone().normalized();
        if host.os != offered.os || host.architecture != offered.architecture {
            return None;
        }
        let level = |variant: &str, none: u32| match variant {
            "" => Some(none),
            v => v.strip_prefix('v').and_then(|number| number.split('.').next()?.parse().ok()),
        };
        let none = match host.architecture.as_str() {
            "amd64" => 1,
            "arm64" => 8,
            _ => 0,
        };
        let (have, want): (u32, u32) = (level(&host.variant, none)?, level(&offered.variant, none)?);
        have.checked_sub(want)
    }
}

impl FromStr for Platform {
    type Err = PlatformError;

    fn from_str(text: &str) -> Result<Self, PlatformError> {
        let error = || PlatformError(text.chars().take(128).collect());
        let word =
            |part: &&str| !part.is_empty() && part.bytes().all(|b| b.is_ascii_alphanumeric() || b"_.-".contains(&b));
        let parts: Vec<&str> = text.split('/').collect();
        if !(2..=3).contains(&parts.len()) || !parts.iter().all(word) {
            return Err(error());
        }
        Ok(Self {
            os: parts[0].into(),
            architecture: parts[1].into(),
            variant: parts.get(2).copied().unwrap_or_default().into(),
            ..Self::default()
        }
        .normalized())
    }
}

impl fmt::Display for Platform {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.os, self.architecture)?;
        if !self.variant.is_empty() {
            write!(f, "/{}", self.variant)?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn platform(text: &str) -> Platform {
        text.parse().unwrap()
    }

    #[test]
    fn names_are_normalised() {
        for (given, wanted) in [
            ("linux/x86_64", "linux/amd64"),
            ("Linux/aarch64/v8", "linux/arm64"),
            ("linux/arm", "linux/arm/v7"),
            ("linux/armel", "linux/arm/v6"),
            ("linux/i686", "linux/386"),
            ("linux/amd64/v1", "linux/amd64"),
        ] {
            assert_eq!(platform(given).to_string(), wanted);
        }
        assert!("linux".parse::<Platform>().is_err());
        assert!("linux//x".parse::<Platform>().is_err());
    }

    #[test]
    fn older_variants_run_on_newer_hosts_only() {
        let host = platform("linux/arm/v7");
        assert_eq!(host.rank(&platform("linux/arm/v7")), Some(0));
        assert_eq!(host.rank(&platform("linux/arm/v5")), Some(2));
        assert_eq!(platform("linux/arm/v6").rank(&platform("linux/arm/v7")), None);
        assert_eq!(platform("linux/amd64").rank(&platform("linux/amd64/v3")), None);
        assert_eq!(platform("linux/amd64/v3").rank(&platform("linux/amd64")), Some(2));
        assert_eq!(host.rank(&platform("linux/amd64")), None);
    }
}
