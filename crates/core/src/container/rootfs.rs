//! A look into a container's root filesystem before it runs: the image's account files, without mounting it anywhere.

use crate::oci_spec::Accounts;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::mount::MountDescription;
use plimsoll_sys::detached;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// An account file larger than this is no account file (CVE-2025-4437, CVE-2026-47262).
const ACCOUNTS: u64 = 10 << 20;

/// The image's `/etc/passwd` and `/etc/group`. Blocks on the disk.
pub(super) fn accounts(mounts: &[MountDescription]) -> Result<Accounts> {
    let root = open(mounts)?;
    Ok(Accounts { passwd: text(&root, "etc/passwd")?, group: text(&root, "etc/group")? })
}

/// A read-only root of what the descriptions would mount: the writable part is new and has nothing to tell.
fn open(mounts: &[MountDescription]) -> Result<OwnedFd> {
    let fault = |what: String| Fault::new(Layer::Store, "rootfs", what);
    let [mount] = mounts else {
        return Err(fault(format!("a root filesystem of {} mounts cannot be looked into", mounts.len())));
    };
    let layers: Vec<&Path> = match mount.kind.as_str() {
        "overlay" => lower(&mount.options).map(|text| text.split(':').map(Path::new).collect()).unwrap_or_default(),
        _ => vec![Path::new(&mount.source)],
    };
    if layers.is_empty() {
        return Err(fault("the overlay of the root filesystem has no lower folder".into()));
    }
    detached::overlay(&layers).map_err(|e| fault("cannot open the image's root filesystem".into()).because(&e))
}

fn lower(options: &[String]) -> Option<&str> {
    options.iter().find_map(|option| option.strip_prefix("lowerdir="))
}

fn text(root: &OwnedFd, path: &str) -> Result<String> {
    let bytes = detached::read_file(root.as_fd(), path, ACCOUNTS).map_err(|e| {
        Fault::new(Layer::Image, "user", format!("the image's /{path} cannot be used"))
            .kind(Kind::InvalidArgument)
            .because(&e)
    })?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}
