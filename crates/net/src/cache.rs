//! Results in libcni's cache form, for people and tools that look there. The ledger, not this cache, is the truth.

use crate::Entry;
use plimsoll_fault::{Fault, Layer, Result};
use serde_json::json;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Writes `results/<network>-<container id>-<interface>`. All three names were checked when they were parsed.
pub(crate) fn write(folder: &Path, entry: &Entry) -> Result<()> {
    let file = file(folder, entry);
    let body = json!({
        "kind": "cniCacheV1",
        "containerId": entry.sandbox,
        "ifName": entry.interface,
        "networkName": entry.network,
        "netns": entry.netns,
        "cniArgs": entry.args,
        "capabilityArgs": entry.capabilities,
        "result": entry.result,
    });
    let put = || -> std::io::Result<()> {
        std::fs::DirBuilder::new().recursive(true).mode(0o700).create(folder.join("results"))?;
        let mut out = std::fs::OpenOptions::new().write(true).create(true).truncate(true).mode(0o600).open(&file)?;
        std::io::Write::write_all(&mut out, body.to_string().as_bytes())
    };
    put().map_err(|e| Fault::new(Layer::Network, "cni-cache", format!("cannot write {}", file.display())).because(&e))
}

pub(crate) fn remove(folder: &Path, entry: &Entry) -> Result<()> {
    let file = file(folder, entry);
    match std::fs::remove_file(&file) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => {
            Err(Fault::new(Layer::Network, "cni-cache", format!("cannot remove {}", file.display())).because(&e))
        }
        _ => Ok(()),
    }
}

fn file(folder: &Path, entry: &Entry) -> PathBuf {
    folder.join("results").join(format!("{}-{}-{}", entry.network, entry.sandbox, entry.interface))
}
