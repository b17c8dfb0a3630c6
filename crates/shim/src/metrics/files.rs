//! The forms in which cgroup files hold numbers.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;

/// A controller's folder; `None` is one that the host does not have, of which everything is 0.
#[derive(Clone, Copy, Debug)]
pub(super) struct Files<'a>(pub(super) Option<&'a Path>);

impl Files<'_> {
    pub(super) fn text(self, file: &str) -> String {
        self.0.and_then(|folder| fs::read_to_string(folder.join(file)).ok()).unwrap_or_default()
    }

    /// One number; `max` is `most`.
    pub(super) fn number(self, file: &str, most: u64) -> u64 {
        match self.text(file).trim() {
            "max" => most,
            text => text.parse().unwrap_or(0),
        }
    }

    /// Lines of a name and a number.
    pub(super) fn table(self, file: &str) -> Table {
        let pair =
            |line: &str| line.split_once(' ').and_then(|(name, n)| Some((name.to_owned(), n.trim().parse().ok()?)));
        Table(self.text(file).lines().filter_map(pair).collect())
    }
}

#[derive(Clone, Debug, Default)]
pub(super) struct Table(BTreeMap<String, u64>);

impl Table {
    pub(super) fn of(&self, name: &str) -> u64 {
        self.0.get(name).copied().unwrap_or(0)
    }
}

/// `8:16` at the begin of a line, and the rest of it.
pub(super) fn device(line: &str) -> Option<(u64, u64, &str)> {
    let (device, rest) = line.split_once(' ')?;
    let (major, minor) = device.split_once(':')?;
    Some((major.parse().ok()?, minor.parse().ok()?, rest))
}
