//! fstab-style mount options: one table from words to attributes, propagation and data.

use plimsoll_sys::mount::{
    ATTR_ATIME, ATTR_NOATIME, ATTR_NODEV, ATTR_NODIRATIME, ATTR_NOEXEC, ATTR_NOSUID, ATTR_NOSYMFOLLOW, ATTR_RDONLY,
    ATTR_STRICTATIME, Attributes,
};
use rustix::mount::MountPropagationFlags as Propagation;

/// What a list of options asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(crate) struct Options {
    /// Of this mount only.
    pub attributes: Attributes,
    /// Of the whole tree below it (`rro`, `rnosuid`, …).
    pub recursive: Attributes,
    /// In order; the second says whether the whole tree.
    pub propagation: Vec<(Propagation, bool)>,
    pub bind: Option<Bind>,
    pub tmpcopyup: bool,
    pub remount: bool,
    /// `idmap`, or `ridmap` for the whole tree.
    pub idmap: Option<Bind>,
    /// Whatever the filesystem itself understands.
    pub data: Vec<String>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Bind {
    One,
    Tree,
}

/// Word, attribute, and whether the word sets it. `r` in front makes each recursive.
const ATTRIBUTES: [(&str, u64, bool); 15] = [
    ("ro", ATTR_RDONLY, true),
    ("rw", ATTR_RDONLY, false),
    ("nosuid", ATTR_NOSUID, true),
    ("suid", ATTR_NOSUID, false),
    ("nodev", ATTR_NODEV, true),
    ("dev", ATTR_NODEV, false),
    ("noexec", ATTR_NOEXEC, true),
    ("exec", ATTR_NOEXEC, false),
    ("nodiratime", ATTR_NODIRATIME, true),
    ("diratime", ATTR_NODIRATIME, false),
    ("noatime", ATTR_NOATIME, true),
    ("strictatime", ATTR_STRICTATIME, true),
    ("nosymfollow", ATTR_NOSYMFOLLOW, true),
    ("symfollow", ATTR_NOSYMFOLLOW, false),
    // 0 in the access time field: clears the field, sets nothing.
    ("relatime", ATTR_ATIME, false),
];

/// Leave the access time mode at the kernel's default.
const DEFAULT_ATIME: [&str; 3] = ["atime", "norelatime", "nostrictatime"];

/// Flags that the kernel itself takes from any filesystem's options: they are given on with the data.
const SUPERBLOCK: [&str; 7] = ["async", "dirsync", "lazytime", "mand", "nolazytime", "nomand", "sync"];

/// What runc's flag mounts could ask for and no current filesystem changes its ways for.
const WITHOUT_EFFECT: [&str; 4] = ["iversion", "loud", "noiversion", "silent"];

const PROPAGATION: [(&str, Propagation); 4] = [
    ("private", Propagation::PRIVATE),
    ("shared", Propagation::SHARED),
    ("slave", Propagation::DOWNSTREAM),
    ("unbindable", Propagation::UNBINDABLE),
];

pub(crate) fn parse(words: &[String]) -> Options {
    let mut out = Options::default();
    for word in words {
        match word.as_str() {
            "bind" => out.bind = Some(out.bind.unwrap_or(Bind::One)),
            "rbind" => out.bind = Some(Bind::Tree),
            "tmpcopyup" => out.tmpcopyup = true,
            "remount" => out.remount = true,
            "idmap" => out.idmap = Some(Bind::One),
            "ridmap" => out.idmap = Some(Bind::Tree),
            "defaults" => {}
            none if WITHOUT_EFFECT.contains(&none) => {}
            other => known(&mut out, other),
        }
    }
    out
}

fn known(out: &mut Options, word: &str) {
    let (recursive, bare) = match word.strip_prefix('r') {
        // `ro`, `rw` and `relatime` begin with an r of their own.
        Some(bare) if !matches!(word, "ro" | "rw" | "relatime") => (true, bare),
        _ => (false, word),
    };
    if let Some((_, flag)) = PROPAGATION.iter().find(|(name, _)| *name == bare) {
        return out.propagation.push((*flag, recursive));
    }
    let attributes = if recursive { &mut out.recursive } else { &mut out.attributes };
    if let Some((_, bits, set)) = ATTRIBUTES.iter().find(|(name, ..)| *name == bare) {
        return change(attributes, *bits, *set);
    }
    if DEFAULT_ATIME.contains(&bare) {
        return change(attributes, ATTR_ATIME, false);
    }
    out.data.push(word.to_owned());
}

/// The last word wins, as in mount(8).
fn change(attributes: &mut Attributes, bits: u64, set: bool) {
    let field = if bits & ATTR_ATIME != 0 { ATTR_ATIME } else { bits };
    attributes.set &= !field;
    attributes.clear &= !field;
    if set { attributes.set |= bits } else { attributes.clear |= bits }
}

/// Every word that is not filesystem data, for `features`.
pub(crate) fn names() -> Vec<String> {
    let plain =
        ATTRIBUTES.iter().map(|(name, ..)| *name).chain(DEFAULT_ATIME).chain(PROPAGATION.iter().map(|(n, _)| *n));
    let mut names: Vec<String> = plain.flat_map(|n| [n.to_owned(), format!("r{n}")]).collect();
    names.extend(["bind", "rbind", "defaults", "tmpcopyup", "idmap", "remount", "ridmap"].map(str::to_owned));
    names.extend(SUPERBLOCK.iter().chain(&WITHOUT_EFFECT).map(|name| (*name).to_owned()));
    names.sort();
    names
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(words: &[&str]) -> Options {
        parse(&words.iter().map(|w| (*w).to_owned()).collect::<Vec<_>>())
    }

    #[test]
    fn flags_propagation_and_data() {
        let got = of(&["rbind", "ro", "nosuid", "rprivate", "size=64k", "mode=755"]);
        assert_eq!(got.bind, Some(Bind::Tree));
        assert_eq!(got.attributes.set, ATTR_RDONLY | ATTR_NOSUID);
        assert_eq!(got.propagation, vec![(Propagation::PRIVATE, true)]);
        assert_eq!(got.data, vec!["size=64k", "mode=755"]);
    }

    #[test]
    fn recursive_words_and_words_with_an_r() {
        let got = of(&["rro", "rnosuid", "relatime", "rrelatime"]);
        assert_eq!(got.recursive.set, ATTR_RDONLY | ATTR_NOSUID);
        assert_eq!((got.attributes.clear, got.recursive.clear), (ATTR_ATIME, ATTR_ATIME));
        assert!(got.data.is_empty());
    }

    #[test]
    fn the_last_word_wins() {
        assert_eq!(of(&["ro", "rw"]).attributes, Attributes { clear: ATTR_RDONLY, ..Attributes::default() });
        assert_eq!(of(&["noatime", "strictatime"]).attributes.set, ATTR_STRICTATIME);
        assert_eq!(of(&["noatime", "relatime"]).attributes.set, 0);
    }
}
