//! `-e NAME=VALUE`, `-e NAME` (from plim's own environment), and `-l KEY=VALUE`.

use plimsoll_proto::cri::KeyValue;
use std::ffi::{OsStr, OsString};
use std::os::unix::ffi::OsStrExt;

/// `value` is `None` when it is to be taken from the environment. Values are bytes: they need not be UTF-8.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Variable {
    name: String,
    value: Option<Vec<u8>>,
}

pub(crate) fn parse(text: &OsStr) -> Result<Variable, String> {
    let bytes = text.as_bytes();
    let end = bytes.iter().position(|b| *b == b'=');
    let name = &bytes[..end.unwrap_or(bytes.len())];
    let name = std::str::from_utf8(name).map_err(|_| "the name of a variable must be UTF-8".to_owned())?;
    if name.is_empty() {
        return Err("a variable needs a name before the =".to_owned());
    }
    Ok(Variable { name: name.to_owned(), value: end.map(|end| bytes[end + 1..].to_vec()) })
}

impl Variable {
    /// The pair for CRI; `None` when it was to come from an environment that does not have it (then it stays unset).
    pub(crate) fn resolve(self, lookup: impl Fn(&str) -> Option<OsString>) -> Option<KeyValue> {
        let value = match self.value {
            Some(value) => value,
            None => lookup(&self.name)?.as_bytes().to_vec(),
        };
        Some(KeyValue { key: self.name, value })
    }
}

/// A label. Kubernetes' own key space is left to Kubernetes.
pub(crate) fn parse_label(text: &str) -> Result<(String, String), String> {
    match text.split_once('=') {
        Some((key, value)) if !key.is_empty() => Ok((key.to_owned(), value.to_owned())),
        _ => Err("want KEY=VALUE".to_owned()),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn pair(text: &[u8]) -> Option<(String, Vec<u8>)> {
        let variable = parse(OsStr::from_bytes(text)).expect("parses");
        variable.resolve(|name| (name == "HOME").then(|| "/root".into())).map(|kv| (kv.key, kv.value))
    }

    #[test]
    fn values_are_bytes_and_may_be_empty_or_inherited() {
        assert_eq!(pair(b"A=b=c"), Some(("A".into(), b"b=c".to_vec())));
        assert_eq!(pair(b"A="), Some(("A".into(), Vec::new())));
        assert_eq!(pair(b"A=\xff"), Some(("A".into(), vec![0xff])));
        assert_eq!(pair(b"HOME"), Some(("HOME".into(), b"/root".to_vec())));
        assert_eq!(pair(b"NOPE"), None);
    }

    #[test]
    fn a_name_is_needed() {
        assert!(parse(OsStr::new("=x")).is_err());
        assert!(parse(OsStr::new("")).is_err());
        assert!(parse_label("=x").is_err());
        assert!(parse_label("x").is_err());
    }
}
