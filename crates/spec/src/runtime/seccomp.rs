//! `linux.seccomp` of the OCI runtime spec (config-linux.md, "Seccomp"). Names of actions, operators, flags and architectures
//! stay strings here: the compiler that needs their meaning refuses what it does not know, by JSON pointer.

use super::parse::{self, ParseError};
use serde::{Deserialize, Serialize};
use serde_json::value::RawValue;

/// The profile as text: half of a config, and nobody but who compiles it needs to know what it says. Only that it is JSON is sure.
#[derive(Clone, Debug, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Unread(Box<RawValue>);

impl PartialEq for Unread {
    fn eq(&self, other: &Self) -> bool {
        self.0.get() == other.0.get()
    }
}

impl Unread {
    /// `config` is the document that it was found in: there an error has its place.
    ///
    /// # Errors
    /// As [`super::Spec::parse`].
    pub fn read(&self, config: &[u8]) -> Result<Seccomp, ParseError> {
        #[derive(Deserialize)]
        struct Config {
            #[serde(rename = "linux")]
            _linux: Linux,
        }
        #[derive(Deserialize)]
        struct Linux {
            #[serde(rename = "seccomp")]
            _seccomp: Seccomp,
        }
        serde_json::from_str(self.0.get()).map_err(|error| match parse::document::<Config>(config) {
            Err(found) => found,
            Ok(_) => ParseError { pointer: "/linux/seccomp".to_owned(), problem: error.to_string() },
        })
    }
}

#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Seccomp {
    pub default_action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub default_errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "super::null", skip_serializing_if = "Vec::is_empty")]
    pub architectures: Vec<String>,
    #[serde(default, deserialize_with = "super::null", skip_serializing_if = "Vec::is_empty")]
    pub flags: Vec<String>,
    /// Unix socket that receives the listener of `SCMP_ACT_NOTIFY`.
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub listener_path: String,
    #[serde(default, skip_serializing_if = "String::is_empty")]
    pub listener_metadata: String,
    #[serde(default, deserialize_with = "super::null", skip_serializing_if = "Vec::is_empty")]
    pub syscalls: Vec<Syscall>,
}

/// One rule: the action for each of `names` when all of `args` hold.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Syscall {
    pub names: Vec<String>,
    pub action: String,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub errno_ret: Option<u32>,
    #[serde(default, deserialize_with = "super::null", skip_serializing_if = "Vec::is_empty")]
    pub args: Vec<Arg>,
}

/// A comparison of one argument. For `SCMP_CMP_MASKED_EQ`, `value` is the mask and `value_two` what must be left.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Arg {
    pub index: u32,
    pub value: u64,
    #[serde(default, deserialize_with = "super::null")]
    pub value_two: u64,
    pub op: String,
}
