//! Control files as numbers. A file that the kernel does not have counts as empty: which ones are there depends on its
//! version, its configuration and the controllers that are on.

use super::stats::{Pressure, Psi};
use plimsoll_sys::cgroup::read_file;
use std::collections::BTreeMap;
use std::path::Path;

pub(super) fn text(folder: &Path, file: &str) -> String {
    read_file(folder, file).unwrap_or_default()
}

/// One number; `max` is 2^64 - 1, as in runc's output. Absent: none.
pub(super) fn number(folder: &Path, file: &str) -> Option<u64> {
    match text(folder, file).as_str() {
        "max" => Some(u64::MAX),
        // v1 may say -1.
        text => text.parse().ok().or_else(|| text.starts_with('-').then_some(0)),
    }
}

/// `key value` lines.
pub(super) fn table(folder: &Path, file: &str) -> BTreeMap<String, u64> {
    let line = |line: &str| line.split_once(' ').and_then(|(key, value)| Some((key.to_owned(), value.parse().ok()?)));
    text(folder, file).lines().filter_map(line).collect()
}

/// A list such as `0-2,7`.
pub(super) fn list(folder: &Path, file: &str) -> Vec<u16> {
    let range = |range: &str| {
        let (first, last) = range.split_once('-').unwrap_or((range, range));
        Some(first.parse::<u16>().ok()?..=last.parse::<u16>().ok()?)
    };
    text(folder, file).split(',').filter_map(range).flatten().collect()
}

/// None when the kernel keeps no pressure figures, or not for this group.
pub(super) fn pressure(folder: &Path, file: &str) -> Option<Psi> {
    let text = read_file(folder, file).ok()?;
    let mut out = Psi::default();
    for line in text.lines() {
        let mut words = line.split(' ');
        let kind = words.next();
        let mut values = Pressure::default();
        for (key, value) in words.filter_map(|word| word.split_once('=')) {
            match key {
                "avg10" => values.avg10 = value.parse().ok()?,
                "avg60" => values.avg60 = value.parse().ok()?,
                "avg300" => values.avg300 = value.parse().ok()?,
                "total" => values.total = value.parse().ok()?,
                _ => {}
            }
        }
        match kind {
            Some("some") => out.some = values,
            Some("full") => out.full = values,
            _ => {}
        }
    }
    Some(out)
}

/// The sizes of huge pages that this kernel has, as control files name them: `64KB`, `2MB`, `1GB`.
pub(super) fn hugepage_sizes() -> Vec<String> {
    let entries = std::fs::read_dir("/sys/kernel/mm/hugepages").into_iter().flatten().flatten();
    let size = |name: String| {
        let kilobytes: u64 = name.strip_prefix("hugepages-")?.strip_suffix("kB")?.parse().ok()?;
        Some(match kilobytes {
            1_048_576.. => format!("{}GB", kilobytes >> 20),
            1024.. => format!("{}MB", kilobytes >> 10),
            _ => format!("{kilobytes}KB"),
        })
    };
    entries.filter_map(|entry| size(entry.file_name().into_string().ok()?)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_of_every_form() {
        let folder = std::env::temp_dir().join(format!("plimrun-read-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
        put("a", "max\n");
        put("b", "anon 5\nfile 6\nodd\n");
        put("c", "0-2,7\n");
        put("d", "some avg10=0.50 avg60=1.00 avg300=0.00 total=77\nfull avg10=0.00 avg60=0.00 avg300=0.00 total=0\n");
        assert_eq!((number(&folder, "a"), number(&folder, "none")), (Some(u64::MAX), None));
        assert_eq!(table(&folder, "b"), BTreeMap::from([("anon".into(), 5), ("file".into(), 6)]));
        assert_eq!(list(&folder, "c"), [0, 1, 2, 7]);
        let psi = pressure(&folder, "d").expect("pressure");
        assert_eq!((psi.some.avg10, psi.some.total, psi.full), (0.5, 77, Pressure::default()));
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
