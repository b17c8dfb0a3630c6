//! Index and manifest, and telling them apart from the bytes alone (GHSA-5j5w-g665-5m35: a document that can be read as
//! both is refused, whoever says what it is).

use super::{INDEX_ENTRIES_MAX, LAYERS_MAX, MANIFEST_MAX, media_type, null_default};
use crate::digest::Digest;
use crate::platform::Platform;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fmt;

/// A pointer to content: what it is, its digest and its exact size in bytes.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Descriptor {
    #[serde(default)]
    pub media_type: String,
    pub digest: Digest,
    pub size: u64,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub platform: Option<Platform>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub artifact_type: Option<String>,
    /// Download addresses of foreign layers. Never followed.
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "Vec::is_empty")]
    pub urls: Vec<String>,
}

/// An image index or Docker manifest list.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Index {
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    #[serde(default, deserialize_with = "null_default")]
    pub manifests: Vec<Descriptor>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// An image manifest.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Manifest {
    pub schema_version: u32,
    #[serde(default)]
    pub media_type: String,
    pub config: Descriptor,
    #[serde(default, deserialize_with = "null_default")]
    pub layers: Vec<Descriptor>,
    #[serde(default, deserialize_with = "null_default", skip_serializing_if = "BTreeMap::is_empty")]
    pub annotations: BTreeMap<String, String>,
}

/// What a registry may answer to a manifest request.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Document {
    Index(Index),
    Manifest(Box<Manifest>),
}

/// Why bytes are neither an index nor a manifest.
#[derive(Debug)]
pub enum DocumentError {
    TooLarge {
        size: u64,
    },
    Json(serde_json::Error),
    Schema1,
    /// Both `manifests` and `config`/`layers` are there.
    Ambiguous,
    /// The document's own type, or its fields, do not agree with the type it was announced as.
    Mismatch {
        announced: String,
        found: String,
    },
    Unknown {
        media_type: String,
    },
    TooMany {
        what: &'static str,
        count: usize,
        limit: usize,
    },
}

impl fmt::Display for DocumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::TooLarge { size } => write!(f, "manifest of {size} bytes exceeds the limit of {MANIFEST_MAX}"),
            Self::Json(_) => f.write_str("manifest is not the JSON it must be"),
            Self::Schema1 => f.write_str("Docker schema 1 manifests are not supported"),
            Self::Ambiguous => f.write_str("document has both `manifests` and `config` or `layers`: it is ambiguous"),
            Self::Mismatch { announced, found } => write!(f, "document announced as {announced:?} is {found:?}"),
            Self::Unknown { media_type } => write!(f, "media type {media_type:?} is no image manifest or index"),
            Self::TooMany { what, count, limit } => write!(f, "{count} {what} exceed the limit of {limit}"),
        }
    }
}

impl std::error::Error for DocumentError {
    fn source(&self) -> Option<&(dyn std::error::Error + 'static)> {
        match self {
            Self::Json(error) => Some(error),
            _ => None,
        }
    }
}

/// Only which of the telling fields are there.
#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Telling<'a> {
    #[serde(default)]
    schema_version: u32,
    #[serde(default)]
    media_type: Option<String>,
    #[serde(borrow)]
    manifests: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    config: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow)]
    layers: Option<&'a serde_json::value::RawValue>,
    #[serde(borrow, rename = "fsLayers")]
    fs_layers: Option<&'a serde_json::value::RawValue>,
}

impl Document {
    /// Reads `bytes`, which were announced as `announced` (a descriptor's or response's media type; empty if nobody said).
    pub fn parse(bytes: &[u8], announced: &str) -> Result<Self, DocumentError> {
        if bytes.len() as u64 > MANIFEST_MAX {
            return Err(DocumentError::TooLarge { size: bytes.len() as u64 });
        }
        let telling: Telling<'_> = serde_json::from_slice(bytes).map_err(DocumentError::Json)?;
        let media_type = telling.check(announced)?;
        if telling.manifests.is_some() {
            let mut index: Index = serde_json::from_slice(bytes).map_err(DocumentError::Json)?;
            index.media_type = media_type;
            bound("index entries", index.manifests.len(), INDEX_ENTRIES_MAX)?;
            return Ok(Self::Index(index));
        }
        let mut manifest: Manifest = serde_json::from_slice(bytes).map_err(DocumentError::Json)?;
        manifest.media_type = media_type;
        bound("layers", manifest.layers.len(), LAYERS_MAX)?;
        Ok(Self::Manifest(Box::new(manifest)))
    }
}

fn bound(what: &'static str, count: usize, limit: usize) -> Result<(), DocumentError> {
    if count > limit { Err(DocumentError::TooMany { what, count, limit }) } else { Ok(()) }
}

impl Telling<'_> {
    /// The one media type that the document can have.
    fn check(&self, announced: &str) -> Result<String, DocumentError> {
        if self.schema_version == 1 || self.fs_layers.is_some() {
            return Err(DocumentError::Schema1);
        }
        let index = self.manifests.is_some();
        if index && (self.config.is_some() || self.layers.is_some()) {
            return Err(DocumentError::Ambiguous);
        }
        let own = self.media_type.as_deref().unwrap_or_default();
        if !own.is_empty() && !announced.is_empty() && own != announced {
            return Err(DocumentError::Mismatch { announced: announced.into(), found: own.into() });
        }
        let named = if own.is_empty() { announced } else { own };
        match (index, named) {
            (true, "") => Ok(media_type::OCI_INDEX.to_owned()),
            (false, "") => Ok(media_type::OCI_MANIFEST.to_owned()),
            (true, name) if media_type::is_index(name) => Ok(name.to_owned()),
            (false, name) if media_type::is_manifest(name) => Ok(name.to_owned()),
            (_, name) if media_type::is_index(name) || media_type::is_manifest(name) => {
                let found = if index { "an index" } else { "a manifest" };
                Err(DocumentError::Mismatch { announced: name.into(), found: found.into() })
            }
            (_, name) => Err(DocumentError::Unknown { media_type: name.chars().take(256).collect() }),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const D: &str = r#"{"mediaType":"x","digest":"sha256:e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855","size":0}"#;

    fn parse(text: &str, announced: &str) -> Result<Document, DocumentError> {
        Document::parse(text.as_bytes(), announced)
    }

    #[test]
    fn a_document_with_both_faces_is_refused() {
        let both = format!(r#"{{"schemaVersion":2,"manifests":[{D}],"layers":[{D}],"config":{D}}}"#);
        for announced in ["", media_type::OCI_INDEX, media_type::OCI_MANIFEST] {
            assert!(matches!(parse(&both, announced), Err(DocumentError::Ambiguous)));
        }
    }

    #[test]
    fn announced_type_must_agree() {
        let manifest =
            format!(r#"{{"schemaVersion":2,"mediaType":"{}","config":{D},"layers":[]}}"#, media_type::OCI_MANIFEST);
        assert!(matches!(parse(&manifest, media_type::OCI_MANIFEST), Ok(Document::Manifest(_))));
        assert!(matches!(parse(&manifest, media_type::OCI_INDEX), Err(DocumentError::Mismatch { .. })));
        let untyped = format!(r#"{{"schemaVersion":2,"config":{D},"layers":null}}"#);
        assert!(matches!(parse(&untyped, media_type::OCI_INDEX), Err(DocumentError::Mismatch { .. })));
        assert!(matches!(parse(&untyped, ""), Ok(Document::Manifest(_))));
        assert!(matches!(parse(&untyped, "text/html"), Err(DocumentError::Unknown { .. })));
    }

    #[test]
    fn old_and_huge_documents_are_refused() {
        assert!(matches!(parse(r#"{"schemaVersion":1,"fsLayers":[]}"#, ""), Err(DocumentError::Schema1)));
        let many = format!(r#"{{"schemaVersion":2,"config":{D},"layers":[{}]}}"#, vec![D; LAYERS_MAX + 1].join(","));
        assert!(matches!(parse(&many, ""), Err(DocumentError::TooMany { .. })));
        let huge = " ".repeat(MANIFEST_MAX as usize + 1);
        assert!(matches!(parse(&huge, ""), Err(DocumentError::TooLarge { .. })));
        assert!(matches!(
            parse(r#"{"schemaVersion":2,"config":{"digest":"md5:1","size":1}}"#, ""),
            Err(DocumentError::Json(_))
        ));
    }
}
