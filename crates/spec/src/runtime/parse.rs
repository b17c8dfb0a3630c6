//! Parsing with positions: an error names the value that it is about.

use super::locate;
use serde::de::DeserializeOwned;
use std::fmt;

/// Why a document was refused. `pointer` is RFC 6901 and empty when the JSON itself is broken.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct ParseError {
    pub pointer: String,
    pub problem: String,
}

impl fmt::Display for ParseError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.pointer.is_empty() {
            f.write_str(&self.problem)
        } else {
            write!(f, "{}: {}", self.pointer, self.problem)
        }
    }
}

impl std::error::Error for ParseError {}

pub(super) fn document<T: DeserializeOwned>(bytes: &[u8]) -> Result<T, ParseError> {
    serde_json::from_slice(bytes).map_err(|error| {
        let pointer =
            if error.is_data() { locate::pointer(bytes, error.line(), error.column()) } else { String::new() };
        ParseError { pointer, problem: error.to_string() }
    })
}
