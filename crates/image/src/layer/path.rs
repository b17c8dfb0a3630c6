//! Names of tar entries: every one is hostile until it is a list of plain components below the layer's root.

use crate::limits::{COMPONENT_MAX, PATH_MAX};
use std::fmt;

/// A relative path of plain components joined by single slashes; empty for the root itself.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub(super) struct EntryPath(Vec<u8>);

/// Why a name is not one.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum BadPath {
    Absolute,
    DotDot,
    Nul,
    TooLong,
}

impl fmt::Display for BadPath {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::Absolute => "its path is absolute",
            Self::DotDot => "its path leaves the layer by `..`",
            Self::Nul => "its path has a zero byte",
            Self::TooLong => "its path is too long",
        })
    }
}

impl EntryPath {
    /// `./a//b/` is `a/b`. The root may be written `.`, `./` or `/`; any other absolute path is refused, as is `..`.
    pub(super) fn parse(name: &[u8]) -> Result<Self, BadPath> {
        if name.len() > PATH_MAX {
            return Err(BadPath::TooLong);
        }
        if name.contains(&0) {
            return Err(BadPath::Nul);
        }
        let mut joined = Vec::with_capacity(name.len());
        for part in name.split(|byte| *byte == b'/') {
            match part {
                b"" | b"." => continue,
                b".." => return Err(BadPath::DotDot),
                _ if part.len() > COMPONENT_MAX => return Err(BadPath::TooLong),
                _ => {}
            }
            if !joined.is_empty() {
                joined.push(b'/');
            }
            joined.extend_from_slice(part);
        }
        if name.starts_with(b"/") && !joined.is_empty() {
            return Err(BadPath::Absolute);
        }
        Ok(Self(joined))
    }

    pub(super) fn bytes(&self) -> &[u8] {
        &self.0
    }

    pub(super) fn is_root(&self) -> bool {
        self.0.is_empty()
    }

    /// The folder (empty for the root) and the last component.
    pub(super) fn split(&self) -> (&[u8], &[u8]) {
        match self.0.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&self.0[..slash], &self.0[slash + 1..]),
            None => (&[], &self.0),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn plain_forms_are_one() {
        for name in ["a/b", "./a/b", "a//b/", "./a/./b/."] {
            assert_eq!(EntryPath::parse(name.as_bytes()).unwrap().bytes(), b"a/b");
        }
        for root in ["", ".", "./", "/", "/."] {
            assert!(EntryPath::parse(root.as_bytes()).unwrap().is_root());
        }
        assert_eq!(EntryPath::parse(b"a/b/c").unwrap().split(), (&b"a/b"[..], &b"c"[..]));
        assert_eq!(EntryPath::parse(b"c").unwrap().split(), (&b""[..], &b"c"[..]));
    }

    #[test]
    fn hostile_forms_are_refused() {
        let long = [b'x'; COMPONENT_MAX + 1];
        for (name, why) in [
            (&b"/etc/passwd"[..], BadPath::Absolute),
            (b"..", BadPath::DotDot),
            (b"a/../../b", BadPath::DotDot),
            (b"a/..", BadPath::DotDot),
            (b"/../a", BadPath::DotDot),
            (b"a\0b", BadPath::Nul),
            (&long, BadPath::TooLong),
            (&[b'/'; PATH_MAX + 1], BadPath::TooLong),
        ] {
            assert_eq!(EntryPath::parse(name), Err(why), "{name:?}");
        }
    }
}
