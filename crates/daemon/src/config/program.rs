//! Where a handler's programs are.

use super::{AbsolutePath, Handler, HandlerKind, Name};
use plimsoll_fault::{Fault, Kind, Layer};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Our own shim: the name follows containerd's rule for the runtime type `io.containerd.plimsoll.v1`.
const OWN_SHIM: &str = "containerd-shim-plimsoll-v1";

#[derive(Debug)]
pub(crate) struct Programs {
    /// Of a handler of type shim the configured one, else ours.
    pub(crate) shim: PathBuf,
    /// The shim is not ours, by its name.
    pub(crate) foreign: bool,
    pub(crate) runtime: Option<PathBuf>,
}

/// Beside this program, else in PATH.
pub(crate) fn own_shim() -> Option<PathBuf> {
    let own = std::env::current_exe().ok();
    find(own.as_deref(), std::env::var_os("PATH").as_deref())
}

impl Programs {
    pub(crate) fn of(name: &Name, handler: &Handler) -> Result<Self, Fault> {
        let fault = |what: String| {
            Fault::new(Layer::Daemon, "config", format!("handler {}: {what}", name.as_str())).kind(Kind::NotFound)
        };
        let path = |path: &AbsolutePath| path.as_path().to_owned();
        let (given, runtime) = (handler.path.as_ref().map(path), handler.runtime.as_ref().map(path));
        if let Some(path) = given.iter().chain(&runtime).find(|path| !runs(path)) {
            return Err(fault(format!("{} is not a program", path.display())));
        }
        let (shim, runtime) = match handler.r#type {
            HandlerKind::Shim => (given, runtime),
            HandlerKind::Oci => (None, given),
        };
        let shim = shim.or_else(own_shim).ok_or_else(|| {
            fault(format!("{OWN_SHIM} is neither beside plimsolld nor in PATH")).hint("set handlers.*.path")
        })?;
        let ours = |name: &str| name == OWN_SHIM;
        // A script that stands in for ours in a test is ours.
        let foreign = shim
            .file_name()
            .and_then(OsStr::to_str)
            .is_some_and(|name| name.starts_with("containerd-shim-") && !ours(name));
        Ok(Self { shim, foreign, runtime })
    }
}

fn find(own: Option<&Path>, search: Option<&OsStr>) -> Option<PathBuf> {
    let beside = own.and_then(Path::parent).map(|dir| dir.join(OWN_SHIM));
    let in_path = search.into_iter().flat_map(std::env::split_paths).map(|dir| dir.join(OWN_SHIM));
    beside.into_iter().chain(in_path).find(|path| runs(path))
}

fn runs(path: &Path) -> bool {
    std::fs::metadata(path).is_ok_and(|meta| meta.is_file() && meta.permissions().mode() & 0o111 != 0)
}
