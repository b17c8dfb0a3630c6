//! The folder under which every container of one root keeps its state: `<root>/<id>/`, 0700 throughout.

use crate::fault::Os;
use plimsoll_fault::{Fault, Kind, Layer};
use std::fmt;
use std::fs::DirBuilder;
use std::os::unix::fs::DirBuilderExt;
use std::path::{Path, PathBuf};
use std::rc::Rc;

type Warn = dyn Fn(&str);

/// A runtime state root, for example `/run/plimrun`.
#[derive(Clone)]
pub struct Root {
    path: PathBuf,
    warn: Option<Rc<Warn>>,
}

impl fmt::Debug for Root {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Root").field("path", &self.path).finish_non_exhaustive()
    }
}

impl Root {
    /// Uses the folder at `path`, making it and its missing parents 0700.
    pub fn open(path: impl Into<PathBuf>) -> Result<Self, Fault> {
        let path = path.into();
        match DirBuilder::new().recursive(true).mode(0o700).create(&path) {
            Ok(()) => Ok(Self { path, warn: None }),
            Err(error) => Err(Fault::new(Layer::OciRuntime, "open-root", format!("cannot make {}", path.display()))
                .os("mkdir", &path, &error)),
        }
    }

    /// Where warnings go: what the specification wants to be told but not to stop for.
    #[must_use]
    pub fn with_warnings(mut self, warn: impl Fn(&str) + 'static) -> Self {
        self.warn = Some(Rc::new(warn));
        self
    }

    pub(crate) fn warn(&self, text: &str) {
        if let Some(warn) = &self.warn {
            warn(text);
        }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The state folder of `id`, whether or not it exists. Refuses ids that are not a single safe path component.
    pub(crate) fn folder(&self, id: &str) -> Result<PathBuf, Fault> {
        check_id(id)?;
        Ok(self.path.join(id))
    }
}

/// runc's alphabet: letters, digits, `_ + - .`, neither `.` nor `..`, at most 255 bytes.
pub(crate) fn check_id(id: &str) -> Result<(), Fault> {
    let legal = |b: u8| b.is_ascii_alphanumeric() || matches!(b, b'_' | b'+' | b'-' | b'.');
    if id.is_empty() || id.len() > 255 || id == "." || id == ".." || !id.bytes().all(legal) {
        return Err(Fault::invalid("parse", format!("invalid container id {id:?}"))
            .kind(Kind::InvalidArgument)
            .hint("letters, digits, '_', '+', '-' and '.', at most 255"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::check_id;

    #[test]
    fn ids_are_one_safe_component() {
        for good in ["a", "web-1", "a.b", "a_b+c", "0", "..."] {
            assert!(check_id(good).is_ok(), "{good}");
        }
        for bad in ["", ".", "..", "a/b", "../x", "a b", "a\0", "é", &"x".repeat(256)] {
            assert!(check_id(bad).is_err(), "{bad}");
        }
    }
}
