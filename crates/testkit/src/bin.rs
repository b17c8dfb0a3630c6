//! Where our own binaries are.

use std::path::{Path, PathBuf};

/// The path of one of our binaries (`plimrun`, `containerd-shim-plimsoll-v1`, `plimsolld`, `plim`): in
/// `PLIMSOLL_BIN_DIR` when that is set, else beside the running test's target folder.
///
/// # Panics
/// When it has not been built, with the command that builds it.
pub fn bin(name: &str) -> PathBuf {
    let path = bin_dir().join(name);
    assert!(path.is_file(), "{} is not built: run `./dev build`, or `cargo build --workspace --bins`", path.display());
    path
}

/// The folder that holds our binaries.
pub fn bin_dir() -> PathBuf {
    if let Some(dir) = std::env::var_os("PLIMSOLL_BIN_DIR") {
        return PathBuf::from(dir);
    }
    let exe = std::env::current_exe().unwrap_or_default();
    let dir = exe.parent().unwrap_or(Path::new("."));
    // Tests live in target/<profile>/deps, binaries one above.
    if dir.ends_with("deps") { dir.parent().unwrap_or(dir).to_owned() } else { dir.to_owned() }
}
