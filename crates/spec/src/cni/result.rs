//! A plugin's answer in its 1.x form. Answers of 0.3 and 0.4 differ only in an `ips[].version` that the address tells.

use super::conf::SUPPORTED_VERSIONS;
use serde::{Deserialize, Serialize};
use std::fmt;
use std::net::IpAddr;

/// What ADD made.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, rename_all = "camelCase")]
pub struct Result {
    pub cni_version: String,
    pub interfaces: Vec<Interface>,
    pub ips: Vec<Ip>,
    pub routes: Vec<Route>,
    pub dns: Dns,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Interface {
    pub name: String,
    pub mac: String,
    /// Path of the network namespace; empty for an interface of the host.
    pub sandbox: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Ip {
    /// CIDR notation.
    pub address: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gateway: String,
    /// Index into `interfaces`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub interface: Option<i64>,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Route {
    pub dst: String,
    #[serde(skip_serializing_if = "String::is_empty")]
    pub gw: String,
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default)]
pub struct Dns {
    pub nameservers: Vec<String>,
    pub domain: String,
    pub search: Vec<String>,
    pub options: Vec<String>,
}

/// The error object of CNI 1.1 section 5, which a failing plugin prints on stdout.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(default)]
pub struct PluginError {
    pub code: u32,
    pub msg: String,
    pub details: String,
}

#[derive(Debug, PartialEq, Eq)]
pub enum ResultError {
    Json(String),
    Version(String),
    Address(String),
}

impl fmt::Display for ResultError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Json(error) => write!(f, "the result is not JSON of the expected shape: {error}"),
            Self::Version(version) => write!(f, "the result has the unsupported cniVersion {version:?}"),
            Self::Address(text) => write!(f, "the result has the malformed address {text:?}"),
        }
    }
}

impl std::error::Error for ResultError {}

impl Result {
    /// Parses an answer of any supported version. Null lists count as empty: plugins written in Go print them.
    pub fn parse(text: &[u8]) -> std::result::Result<Self, ResultError> {
        let json = |e: serde_json::Error| ResultError::Json(e.to_string());
        let mut fields: serde_json::Map<String, serde_json::Value> = serde_json::from_slice(text).map_err(json)?;
        fields.retain(|_, field| !field.is_null());
        let result: Self = serde_json::from_value(fields.into()).map_err(json)?;
        if !SUPPORTED_VERSIONS.contains(&result.cni_version.as_str()) {
            return Err(ResultError::Version(result.cni_version));
        }
        if let Some(bad) = result.ips.iter().find(|ip| ip.addr().is_none()) {
            return Err(ResultError::Address(bad.address.clone()));
        }
        Ok(result)
    }

    /// The addresses of the pod: those on an interface that lies in a sandbox, or without an interface.
    pub fn pod_ips(&self) -> Vec<IpAddr> {
        self.ips.iter().filter(|ip| self.in_sandbox(ip)).filter_map(Ip::addr).collect()
    }

    fn in_sandbox(&self, ip: &Ip) -> bool {
        let index = ip.interface.and_then(|i| usize::try_from(i).ok());
        index.and_then(|i| self.interfaces.get(i)).is_none_or(|interface| !interface.sandbox.is_empty())
    }
}

impl Ip {
    fn addr(&self) -> Option<IpAddr> {
        let (addr, length) = self.address.split_once('/')?;
        let addr: IpAddr = addr.parse().ok()?;
        let length: u8 = length.parse().ok()?;
        (length <= if addr.is_ipv4() { 32 } else { 128 }).then_some(addr)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pod_addresses_are_those_inside() {
        let text =
            br#"{"cniVersion":"0.4.0","interfaces":[{"name":"b0","mac":"x"},{"name":"eth0","sandbox":"/run/netns/a"}],
            "ips":[{"version":"4","address":"10.1.0.2/24","gateway":"10.1.0.1","interface":1},
                   {"version":"4","address":"10.1.0.1/24","interface":0},
                   {"version":"6","address":"fd00::2/64"}],"routes":null,"dns":{}}"#;
        let result = Result::parse(text).expect("parses");
        let ips: Vec<String> = result.pod_ips().iter().map(ToString::to_string).collect();
        assert_eq!(ips, ["10.1.0.2", "fd00::2"]);
    }

    #[test]
    fn garbage_is_named() {
        let bad = |text: &str| Result::parse(text.as_bytes()).expect_err("refused");
        assert!(matches!(bad("ok"), ResultError::Json(_)));
        assert!(matches!(bad("[]"), ResultError::Json(_)));
        assert!(matches!(bad(r#"{"cniVersion":"7"}"#), ResultError::Version(_)));
        assert!(matches!(bad(r#"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1"}]}"#), ResultError::Address(_)));
        assert!(matches!(bad(r#"{"cniVersion":"1.0.0","ips":[{"address":"10.0.0.1/33"}]}"#), ResultError::Address(_)));
    }
}
