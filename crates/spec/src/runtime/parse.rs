//! Parsing with positions: an error names the value that it is about.

use super::locate;
use serde::de::DeserializeOwned;
use std::fmt;

/// Why a document was refused. `pointer` is RFC 6901: of the value, or of where broken JSON breaks.
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
    serde_json::from_slice(bytes).map_err(|error| ParseError {
        pointer: locate::pointer(bytes, error.line(), error.column()),
        problem: error.to_string(),
    })
}
