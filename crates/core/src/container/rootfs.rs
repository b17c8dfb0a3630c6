//! A look into a container's root filesystem before it runs: the image's account files, without mounting it anywhere.

use crate::oci_spec::Accounts;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_image::snapshot::Look;
use plimsoll_spec::mount::MountDescription;

/// An account file larger than this is no account file (CVE-2025-4437, CVE-2026-47262).
const ACCOUNTS: u64 = 10 << 20;

/// The image's `/etc/passwd` and `/etc/group`. Blocks on the disk.
pub(super) fn accounts(mounts: &[MountDescription]) -> Result<Accounts> {
    let root = Look::new(mounts)?;
    Ok(Accounts { passwd: text(&root, "etc/passwd")?, group: text(&root, "etc/group")? })
}

fn text(root: &Look, path: &str) -> Result<String> {
    let bytes = root.read_file(path, ACCOUNTS).map_err(|e| {
        Fault::new(Layer::Image, "user", format!("the image's /{path} cannot be used"))
            .kind(Kind::InvalidArgument)
            .because(&e)
    })?;
    Ok(String::from_utf8_lossy(&bytes.unwrap_or_default()).into_owned())
}
