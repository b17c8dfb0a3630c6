//! Where a handler's shim program is.

use super::{Handler, Name};
use plimsoll_fault::{Fault, Kind, Layer};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Our own shim: the name follows containerd's rule for the runtime type `io.containerd.plimsoll.v1`.
const OWN_SHIM: &str = "containerd-shim-plimsoll-v1";

/// The configured shim, else ours: beside this program, else in PATH.
pub(crate) fn shim_program(name: &Name, handler: &Handler) -> Result<PathBuf, Fault> {
    let fault = |what: String| {
        Fault::new(Layer::Daemon, "config", format!("handler {}: {what}", name.as_str())).kind(Kind::NotFound)
    };
    if let Some(path) = &handler.shim {
        return if runs(path.as_path()) {
            Ok(path.as_path().to_owned())
        } else {
            Err(fault(format!("{} is not a program", path.as_path().display())))
        };
    }
    let own = std::env::current_exe().ok();
    find(own.as_deref(), std::env::var_os("PATH").as_deref())
        .ok_or_else(|| fault(format!("{OWN_SHIM} is neither beside plimsolld nor in PATH")).hint("set handlers.*.shim"))
}

fn find(own: Option<&Path>, search: Option<&OsStr>) -> Option<PathBuf> {
    let beside = own.and_then(Path::parent).map(|dir| dir.join(OWN_SHIM));
    let in_path = search.into_iter().flat_map(std::env::split_paths).map(|dir| dir.join(OWN_SHIM));
    beside.into_iter().chain(in_path).find(|path| runs(path))
}

fn runs(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
