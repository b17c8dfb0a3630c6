//! Parsing with positions: the fast path is plain serde_json; only a failed document is parsed again to find where.

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
    match serde_json::from_slice(bytes) {
        Ok(value) => Ok(value),
        Err(first) => {
            Err(locate::<T>(bytes).unwrap_or_else(|| ParseError { pointer: String::new(), problem: first.to_string() }))
        }
    }
}

fn locate<T: DeserializeOwned>(bytes: &[u8]) -> Option<ParseError> {
    let mut json = serde_json::Deserializer::from_slice(bytes);
    let error = serde_path_to_error::deserialize::<_, T>(&mut json).err()?;
    Some(ParseError { pointer: pointer(error.path()), problem: error.inner().to_string() })
}

fn pointer(path: &serde_path_to_error::Path) -> String {
    use serde_path_to_error::Segment;
    let mut out = String::new();
    for segment in path {
        match segment {
            Segment::Seq { index } => out.push_str(&format!("/{index}")),
            Segment::Map { key } => out.push_str(&format!("/{}", escape(key))),
            Segment::Enum { variant } => out.push_str(&format!("/{}", escape(variant))),
            Segment::Unknown => {}
        }
    }
    out
}

fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}
