//! Where the other side's real software is. It is obtained by `peers/peers.sh` (called by `./dev`), never from here.

use crate::{Scratch, bin};
use std::path::{Path, PathBuf};
use std::process::Command;

/// The folder in which peers and test images are kept between runs.
pub fn cache() -> PathBuf {
    let fallback = || PathBuf::from(std::env::var_os("HOME").unwrap_or_else(|| "/root".into())).join(".cache/plimsoll");
    std::env::var_os("PLIMSOLL_CACHE").map_or_else(fallback, PathBuf::from)
}

/// The path of a peer's program: what `peers.sh` obtained first, then PATH. The cached `runc` and `crun` are new ones
/// (OCI 1.3), unlike the distribution's.
///
/// # Errors
/// A sentence that says how to get it.
pub fn find(name: &str) -> Result<PathBuf, String> {
    let cached = cache().join("peers/bin").join(name);
    let path = std::env::var_os("PATH").unwrap_or_default();
    let usual = std::env::split_paths(&path).map(|dir| dir.join(name));
    let found = std::iter::once(cached).chain(usual).find(|p| p.is_file());
    found.ok_or_else(|| {
        format!("{name} is not here: get it with `crates/testkit/peers/peers.sh {name}` (./dev test does)")
    })
}

/// [`find`] for tests.
///
/// # Panics
/// When it is not there, saying how to get it.
#[track_caller]
pub fn need(name: &str) -> PathBuf {
    find(name).unwrap_or_else(|why| panic!("{why}"))
}

/// containerd of that name, which finds our shim and its own in its PATH.
///
/// # Panics
/// When it is not there.
#[track_caller]
pub fn containerd(scratch: &Scratch, name: &str, config: &Path) -> Command {
    let program = need(name).canonicalize().expect("containerd");
    let folders = [bin("containerd-shim-plimsoll-v1"), program.clone()];
    let folders = folders.iter().filter_map(|path| path.parent()).map(Path::to_owned);
    let usual = std::env::var_os("PATH").unwrap_or_default();
    let path = std::env::join_paths(folders.chain(std::env::split_paths(&usual))).expect("PATH");
    let mut command = scratch.command(&program);
    command.arg("-c").arg(config).env("PATH", path);
    command
}

/// The folder of the reference CNI plugins (bridge, portmap, host-local, …).
///
/// # Errors
/// A sentence that says how to get them.
pub fn cni_bin_dir() -> Result<PathBuf, String> {
    let known = ["/opt/cni/bin", "/usr/lib/cni"].map(PathBuf::from);
    let found = known.into_iter().find(|d| d.join("bridge").is_file());
    found.ok_or_else(|| {
        "no CNI plugins here: get them with `crates/testkit/peers/peers.sh cni` (./dev test does)".into()
    })
}
