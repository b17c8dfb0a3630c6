//! Folders, links, devices and FIFOs of a layer.

use super::dirs::Dirs;
use super::{Rights, whiteout};
use rustix::fd::{AsFd, OwnedFd};
use rustix::fs::{AtFlags, FileType, Mode, OFlags};
use rustix::io::Errno;
use std::rc::Rc;

/// Makes a folder; one that is there stays with what it holds. Returns it open.
pub(super) fn folder(dirs: &mut Dirs, parent: &Rc<OwnedFd>, name: &[u8], rights: Rights) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(&**parent, name, Mode::from_raw_mode(0o700)) {
        Err(Errno::EXIST) => {
            let stat = rustix::fs::statat(&**parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            match FileType::from_raw_mode(stat.st_mode) {
                FileType::Directory => {}
                FileType::CharacterDevice if stat.st_rdev == 0 => {
                    whiteout::replace_by_opaque_folder(parent.as_fd(), name, rights)?;
                }
                // CVE-2021-32760: a symlink here must not be followed by what comes next.
                _ => {
                    dirs.remove(parent.as_fd(), name)?;
                    rustix::fs::mkdirat(&**parent, name, Mode::from_raw_mode(0o700))?;
                }
            }
        }
        other => other?,
    }
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(&**parent, name, flags, Mode::empty())
}

/// Runs `make`; if something is in the way it is removed and `make` runs again.
pub(super) fn replacing<T>(
    dirs: &mut Dirs,
    parent: &Rc<OwnedFd>,
    name: &[u8],
    mut make: impl FnMut() -> Result<T, Errno>,
) -> Result<T, Errno> {
    match make() {
        Err(Errno::EXIST) => {
            dirs.remove(parent.as_fd(), name)?;
            make()
        }
        other => other,
    }
}

/// A device or FIFO with no permissions yet.
pub(super) fn special(parent: &Rc<OwnedFd>, name: &[u8], kind: FileType, device: (u32, u32)) -> Result<(), Errno> {
    let number = if kind == FileType::Fifo { 0 } else { rustix::fs::makedev(device.0, device.1) };
    rustix::fs::mknodat(&**parent, name, kind, Mode::empty(), number)
}
