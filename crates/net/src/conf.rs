//! Finds the network configuration: the first usable file in name order.

use crate::limits;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::cni::NetworkList;
use std::io::Read;
use std::path::{Path, PathBuf};

/// The network of the first file. A first file that is wrong is an error, not a reason to use the second: the node would
/// silently have another network.
pub(crate) fn load(folder: &Path) -> Result<NetworkList> {
    let path = first(folder)?;
    let fault = |what: &str| {
        Fault::new(Layer::Network, "cni-conf", format!("CNI configuration {}: {what}", path.display()))
            .kind(Kind::FailedPrecondition)
    };
    let file = std::fs::File::open(&path).map_err(|e| fault("cannot be opened").because(&e))?;
    let mut text = Vec::new();
    file.take(limits::CONF + 1).read_to_end(&mut text).map_err(|e| fault("cannot be read").because(&e))?;
    if text.len() as u64 > limits::CONF {
        return Err(fault(&format!("is larger than {} bytes", limits::CONF)));
    }
    let parsed = if path.extension().is_some_and(|e| e == "conflist") {
        NetworkList::parse(&text)
    } else {
        NetworkList::parse_single(&text)
    };
    parsed.map_err(|e| fault("is not usable").because(&e))
}

fn first(folder: &Path) -> Result<PathBuf> {
    let none = |what: String| {
        Fault::new(Layer::Network, "cni-conf", what)
            .kind(Kind::FailedPrecondition)
            .hint("put a .conflist file there; pods with the host's network need none")
    };
    let entries = std::fs::read_dir(folder)
        .map_err(|e| none(format!("no CNI configuration: cannot read {}", folder.display())).because(&e))?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| entry.ok().map(|e| e.path()))
        .filter(|path| path.extension().is_some_and(|e| e == "conflist" || e == "conf" || e == "json"))
        .take(limits::CONF_FILES)
        .collect();
    files.sort();
    files.into_iter().next().ok_or_else(|| none(format!("no CNI configuration in {}", folder.display())))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_first_name_wins_and_other_files_are_ignored() {
        let dir = tempfile::tempdir().expect("temp dir");
        let none = load(dir.path()).expect_err("nothing there");
        assert_eq!(none.layer(), &Layer::Network);
        let write = |name: &str, text: &str| std::fs::write(dir.path().join(name), text).expect("writes");
        write("00-readme.txt", "no");
        write("20-b.conf", r#"{"cniVersion":"1.0.0","name":"b","type":"ptp"}"#);
        write("10-a.conflist", r#"{"cniVersion":"1.0.0","name":"a","plugins":[{"type":"bridge"}]}"#);
        assert_eq!(load(dir.path()).expect("loads").name, "a");
        write("05-bad.conflist", "{");
        let bad = load(dir.path()).expect_err("refused");
        assert!(bad.to_string().contains("05-bad.conflist"), "{bad}");
    }
}
