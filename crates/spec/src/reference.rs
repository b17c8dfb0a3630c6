//! Image references: `[domain/]path[:tag][@digest]` in the grammar of the distribution project, with Docker's short names
//! normalised (`nginx` is `docker.io/library/nginx`). Owns parsing; knows no registry.

use crate::digest::{Digest, DigestError};
use serde::{Deserialize, Serialize};
use std::fmt;
use std::str::FromStr;

/// Longest name, domain included (distribution's `NameTotalLengthMax`).
pub const NAME_MAX: usize = 255;
/// Longest tag (distribution-spec, "Pulling manifests").
pub const TAG_MAX: usize = 128;

const DEFAULT_DOMAIN: &str = "docker.io";
const LEGACY_DOMAIN: &str = "index.docker.io";

/// A well-formed reference with its domain made explicit. Neither tag nor digest need be there.
#[derive(Clone, Debug, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct Reference {
    domain: String,
    path: String,
    tag: Option<String>,
    digest: Option<Digest>,
}

/// Why a text is not a reference. Each carries the offending part.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum ReferenceError {
    Empty,
    TooLong,
    Domain(String),
    Path(String),
    /// Upper case in the repository path: the commonest mistake.
    UpperCase(String),
    Tag(String),
    Digest(DigestError),
    /// 64 hexadecimal characters: an image id, not a name.
    LooksLikeId,
}

impl fmt::Display for ReferenceError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Empty => f.write_str("image reference is empty"),
            Self::TooLong => write!(f, "image name is longer than {NAME_MAX} characters"),
            Self::Domain(text) => write!(f, "registry host {text:?} is malformed"),
            Self::Path(text) => write!(f, "repository name {text:?} is malformed"),
            Self::UpperCase(text) => write!(f, "repository name {text:?} must be lower case"),
            Self::Tag(text) => write!(f, "tag {text:?} is malformed"),
            Self::Digest(error) => error.fmt(f),
            Self::LooksLikeId => f.write_str("64 hexadecimal characters are an image id, not a name"),
        }
    }
}

impl std::error::Error for ReferenceError {}

impl Reference {
    /// Registry as named, with port: `docker.io`, `localhost:5000`.
    pub fn domain(&self) -> &str {
        &self.domain
    }

    /// Repository within the registry: `library/nginx`.
    pub fn path(&self) -> &str {
        &self.path
    }

    pub fn tag(&self) -> Option<&str> {
        self.tag.as_deref()
    }

    pub fn digest(&self) -> Option<&Digest> {
        self.digest.as_ref()
    }

    /// `domain/path`, without tag and digest.
    pub fn name(&self) -> String {
        format!("{}/{}", self.domain, self.path)
    }

    /// What is asked of the registry: the digest if there is one, else the tag, else `latest`.
    pub fn object(&self) -> String {
        match (&self.digest, &self.tag) {
            (Some(digest), _) => digest.to_string(),
            (None, Some(tag)) => tag.clone(),
            (None, None) => "latest".to_owned(),
        }
    }

    /// The same with `:latest` if it has neither tag nor digest.
    #[must_use]
    pub fn or_latest(mut self) -> Self {
        if self.tag.is_none() && self.digest.is_none() {
            self.tag = Some("latest".to_owned());
        }
        self
    }

    /// `domain/path@digest`.
    #[must_use]
    pub fn pinned(&self, digest: Digest) -> Self {
        Self { domain: self.domain.clone(), path: self.path.clone(), tag: None, digest: Some(digest) }
    }
}

impl FromStr for Reference {
    type Err = ReferenceError;

    fn from_str(text: &str) -> Result<Self, ReferenceError> {
        if text.is_empty() {
            return Err(ReferenceError::Empty);
        }
        // Name, tag and digest at their longest; bounds everything below.
        if text.len() > NAME_MAX + TAG_MAX + 160 {
            return Err(ReferenceError::TooLong);
        }
        if text.len() == 64 && text.bytes().all(|b| b.is_ascii_digit() || (b'a'..=b'f').contains(&b)) {
            return Err(ReferenceError::LooksLikeId);
        }
        let (rest, digest) = match text.split_once('@') {
            Some((rest, digest)) => (rest, Some(digest.parse().map_err(ReferenceError::Digest)?)),
            None => (text, None),
        };
        let (name, tag) = split_tag(rest);
        let tag = tag.map(|tag| parse_tag(tag).map(str::to_owned)).transpose()?;
        let (domain, path) = split_domain(name);
        check_domain(domain)?;
        check_path(&path)?;
        if domain.len() + 1 + path.len() > NAME_MAX {
            return Err(ReferenceError::TooLong);
        }
        Ok(Self { domain: domain.to_owned(), path, tag, digest })
    }
}

/// A colon after the last slash starts a tag; one before it a port.
fn split_tag(text: &str) -> (&str, Option<&str>) {
    let last = text.rfind('/').map_or(0, |slash| slash + 1);
    match text[last..].find(':') {
        Some(colon) => (&text[..last + colon], Some(&text[last + colon + 1..])),
        None => (text, None),
    }
}

/// The first component is a domain if it has a dot, a port, upper case, or is `localhost`.
fn split_domain(name: &str) -> (&str, String) {
    let (domain, path) = match name.split_once('/') {
        Some((first, path)) if is_domain(first) => (first, path),
        _ => (DEFAULT_DOMAIN, name),
    };
    let domain = if domain == LEGACY_DOMAIN { DEFAULT_DOMAIN } else { domain };
    if domain == DEFAULT_DOMAIN && !path.contains('/') && !path.is_empty() {
        return (domain, format!("library/{path}"));
    }
    (domain, path.to_owned())
}

fn is_domain(first: &str) -> bool {
    first.contains(['.', ':', '[']) || first == "localhost" || first.bytes().any(|b| b.is_ascii_uppercase())
}

fn check_domain(domain: &str) -> Result<(), ReferenceError> {
    let error = || ReferenceError::Domain(domain.chars().take(NAME_MAX).collect());
    let (host, port) = match domain.strip_prefix('[') {
        Some(v6) => {
            let (address, rest) = v6.split_once(']').ok_or_else(error)?;
            address.parse::<std::net::Ipv6Addr>().map_err(|_| error())?;
            if rest.is_empty() { ("", None) } else { ("", Some(rest.strip_prefix(':').ok_or_else(error)?)) }
        }
        None => match domain.split_once(':') {
            Some((host, port)) => (host, Some(port)),
            None => (domain, None),
        },
    };
    if port.is_some_and(|p| p.is_empty() || !p.bytes().all(|b| b.is_ascii_digit()) || p.parse::<u16>().is_err()) {
        return Err(error());
    }
    let label = |l: &str| {
        !l.is_empty()
            && !l.starts_with('-')
            && !l.ends_with('-')
            && l.bytes().all(|b| b.is_ascii_alphanumeric() || b == b'-')
    };
    let bracketed = domain.starts_with('[');
    if !bracketed && !host.split('.').all(label) {
        return Err(error());
    }
    Ok(())
}

fn check_path(path: &str) -> Result<(), ReferenceError> {
    if path.bytes().any(|b| b.is_ascii_uppercase()) {
        return Err(ReferenceError::UpperCase(path.chars().take(NAME_MAX).collect()));
    }
    if path.split('/').all(is_path_component) {
        return Ok(());
    }
    Err(ReferenceError::Path(path.chars().take(NAME_MAX).collect()))
}

/// `[a-z0-9]+((\.|_|__|-+)[a-z0-9]+)*`
fn is_path_component(text: &str) -> bool {
    let alphanumeric = |b: u8| b.is_ascii_digit() || b.is_ascii_lowercase();
    let (Some(first), Some(last)) = (text.bytes().next(), text.bytes().last()) else { return false };
    if !alphanumeric(first) || !alphanumeric(last) {
        return false;
    }
    let separators = text.split(|c: char| c.is_ascii_digit() || c.is_ascii_lowercase());
    separators.into_iter().all(|s| matches!(s, "" | "." | "_" | "__") || s.bytes().all(|b| b == b'-'))
}

fn parse_tag(tag: &str) -> Result<&str, ReferenceError> {
    let word = |b: u8| b.is_ascii_alphanumeric() || b == b'_';
    let good = tag.len() <= TAG_MAX
        && tag.bytes().next().is_some_and(word)
        && tag.bytes().all(|b| word(b) || b == b'.' || b == b'-');
    if good { Ok(tag) } else { Err(ReferenceError::Tag(tag.chars().take(TAG_MAX).collect())) }
}

impl TryFrom<String> for Reference {
    type Error = ReferenceError;

    fn try_from(text: String) -> Result<Self, ReferenceError> {
        text.parse()
    }
}

impl From<Reference> for String {
    fn from(reference: Reference) -> Self {
        reference.to_string()
    }
}

/// The full form: `docker.io/library/nginx:1.25@sha256:…`.
impl fmt::Display for Reference {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.domain, self.path)?;
        if let Some(tag) = &self.tag {
            write!(f, ":{tag}")?;
        }
        if let Some(digest) = &self.digest {
            write!(f, "@{digest}")?;
        }
        Ok(())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const HEX: &str = "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855";

    fn full(text: &str) -> String {
        text.parse::<Reference>().unwrap_or_else(|error| panic!("{text}: {error}")).to_string()
    }

    #[test]
    fn short_names_are_completed() {
        for (given, wanted) in [
            ("nginx", "docker.io/library/nginx"),
            ("nginx:1.25", "docker.io/library/nginx:1.25"),
            ("user/app", "docker.io/user/app"),
            ("index.docker.io/nginx", "docker.io/library/nginx"),
            ("localhost/app", "localhost/app"),
            ("localhost:5000/app:v1", "localhost:5000/app:v1"),
            ("127.0.0.1:5000/a/b/c", "127.0.0.1:5000/a/b/c"),
            ("[::1]:5000/app", "[::1]:5000/app"),
            ("ghcr.io/a__b/c--d.e_f", "ghcr.io/a__b/c--d.e_f"),
            ("UPPER/app", "UPPER/app"),
        ] {
            assert_eq!(full(given), wanted);
        }
        assert_eq!(full(&format!("a.b/c:t@sha256:{HEX}")), format!("a.b/c:t@sha256:{HEX}"));
    }

    #[test]
    fn malformed_references_are_refused() {
        let long = "a/".repeat(140);
        let tag = format!("a:{}", "t".repeat(129));
        for text in [
            "",
            ":tag",
            "nginx:",
            "nginx@",
            "nginx@sha256:12",
            "Nginx",
            "a/B",
            "a..b/c/",
            "/a",
            "a//b",
            "a:b:c",
            "-a/b",
            "a_/b",
            "a___b",
            "a.-b",
            "host:port/a",
            "host:99999/a",
            "a b",
            "a\n",
            "../etc",
            "[::1/a",
            &long,
            &tag,
            HEX,
            "localhost:5000/",
        ] {
            assert!(text.parse::<Reference>().is_err(), "{text:?} was taken");
        }
    }

    #[test]
    fn the_object_prefers_the_digest() {
        let by_both: Reference = format!("a.b/c:t@sha256:{HEX}").parse().unwrap();
        assert_eq!(by_both.object(), format!("sha256:{HEX}"));
        assert_eq!("nginx".parse::<Reference>().unwrap().object(), "latest");
        assert_eq!("nginx".parse::<Reference>().unwrap().or_latest().to_string(), "docker.io/library/nginx:latest");
    }
}
