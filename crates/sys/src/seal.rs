//! Running from a read-only image of oneself: a container that gets hold of `/proc/<pid>/exe` of a process that entered it
//! must not be able to write the host's binary through it (CVE-2019-5736).

use crate::{SingleThread, mount, process};
use rustix::fs::{Mode, OFlags, SealFlags, StatVfsMountFlags};
use rustix::io::Errno;
use std::ffi::CString;
use std::os::fd::OwnedFd;
use std::os::unix::ffi::OsStringExt;
use std::path::Path;

const SELF: &str = "/proc/self/exe";

/// Whether this process's executable cannot be written through: it is on a read-only mount or is a sealed memfd.
pub fn is_sealed() -> Result<bool, Errno> {
    let exe = rustix::fs::open(SELF, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    if rustix::fs::fstatvfs(&exe)?.f_flag.contains(StatVfsMountFlags::RDONLY) {
        return Ok(true);
    }
    // Only memfds know seals; a file of a disk filesystem answers EINVAL.
    Ok(rustix::fs::fcntl_get_seals(&exe).is_ok_and(|seals| seals.contains(SealFlags::WRITE)))
}

/// Executes this program again, with the same arguments and environment, from a detached read-only copy of the mount it is
/// on, or from a sealed memfd where no mount may be made. Returns only on failure.
pub fn reexec(token: &SingleThread) -> Errno {
    let image = match readonly_mount() {
        Ok(image) => image,
        Err(Errno::PERM | Errno::NOSYS | Errno::INVAL) => match sealed_copy() {
            Ok(image) => image,
            Err(error) => return error,
        },
        Err(error) => return error,
    };
    let args: Result<Vec<CString>, _> = std::env::args_os().map(|a| CString::new(a.into_vec())).collect();
    match args {
        Ok(args) => process::exec_fd(token, image, &args),
        Err(_) => Errno::INVAL,
    }
}

fn readonly_mount() -> Result<OwnedFd, Errno> {
    let tree = mount::clone_path(Path::new(SELF), false)?;
    mount::set_attributes(&tree, mount::Attributes::set(mount::ATTR_RDONLY), false)?;
    Ok(tree)
}

fn sealed_copy() -> Result<OwnedFd, Errno> {
    use rustix::fs::MemfdFlags;
    let source = rustix::fs::open(SELF, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty())?;
    let copy = rustix::fs::memfd_create("plimsoll", MemfdFlags::CLOEXEC | MemfdFlags::ALLOW_SEALING)?;
    let mut left = usize::try_from(rustix::fs::fstat(&source)?.st_size).map_err(|_| Errno::FBIG)?;
    while left > 0 {
        match rustix::fs::sendfile(&copy, &source, None, left)? {
            0 => return Err(Errno::IO),
            n => left = left.saturating_sub(n),
        }
    }
    let seals = SealFlags::SEAL | SealFlags::SHRINK | SealFlags::GROW | SealFlags::WRITE;
    rustix::fs::fcntl_add_seals(&copy, seals)?;
    Ok(copy)
}
