//! Where a handler's programs are.

use super::{Handler, HandlerKind, Name};
use plimsoll_fault::{Fault, Kind, Layer};
use std::ffi::OsStr;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};

/// Our own shim: the name follows containerd's rule for the runtime type `io.containerd.plimsoll.v1`.
const OWN_SHIM: &str = "containerd-shim-plimsoll-v1";

#[derive(Debug)]
pub(crate) struct Programs {
    /// Of a handler of type shim the configured one, else ours: beside this program, else in PATH.
    pub(crate) shim: PathBuf,
    /// Of a handler of type oci.
    pub(crate) runtime: Option<PathBuf>,
}

impl Programs {
    pub(crate) fn of(name: &Name, handler: &Handler) -> Result<Self, Fault> {
        let fault = |what: String| {
            Fault::new(Layer::Daemon, "config", format!("handler {}: {what}", name.as_str())).kind(Kind::NotFound)
        };
        let given = handler.path.as_ref().map(|path| path.as_path().to_owned());
        if let Some(path) = given.as_ref().filter(|path| !runs(path)) {
            return Err(fault(format!("{} is not a program", path.display())));
        }
        let (shim, runtime) = match handler.r#type {
            HandlerKind::Shim => (given, None),
            HandlerKind::Oci => (None, given),
        };
        let own = std::env::current_exe().ok();
        let shim = shim.or_else(|| find(own.as_deref(), std::env::var_os("PATH").as_deref())).ok_or_else(|| {
            fault(format!("{OWN_SHIM} is neither beside plimsolld nor in PATH")).hint("set handlers.*.path")
        })?;
        Ok(Self { shim, runtime })
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
