//! Folders that a layer needs but does not name take mode, owner and time of the same folder in the layers below; only
//! when those are complete can this be known, so it is done when a layer joins its chain.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Gid, Mode, OFlags, ResolveFlags, Stat, Timespec, Timestamps, Uid};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// `implied` are paths below `layer` (empty for its root); `below` are the folders of the layers below, topmost first.
pub(crate) fn inherit(layer: &Path, implied: &[Vec<u8>], below: &[PathBuf], chown: bool) -> Result<(), Errno> {
    let open = |path: &Path| rustix::fs::open(path, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty());
    let layer = open(layer)?;
    let below: Vec<OwnedFd> = below.iter().map(|path| open(path)).collect::<Result<_, _>>()?;
    // Deepest first: changing a folder's entries would touch the times of the one above.
    for path in implied.iter().rev() {
        let Some(stat) = below.iter().find_map(|root| folder_at(root.as_fd(), path)) else { continue };
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
        let resolve = ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS;
        let name = if path.is_empty() { &b"."[..] } else { path };
        let folder = match rustix::fs::openat2(&layer, name, flags, Mode::empty(), resolve) {
            // A later entry of the layer replaced it.
            Err(Errno::NOENT | Errno::NOTDIR | Errno::LOOP) => continue,
            other => other?,
        };
        if chown {
            rustix::fs::fchown(&folder, Some(Uid::from_raw(stat.st_uid)), Some(Gid::from_raw(stat.st_gid)))?;
        }
        rustix::fs::fchmod(&folder, Mode::from_raw_mode(stat.st_mode & 0o7777))?;
        let time = Timespec { tv_sec: stat.st_mtime, tv_nsec: stat.st_mtime_nsec as i64 };
        rustix::fs::futimens(&folder, &Timestamps { last_access: time, last_modification: time })?;
    }
    Ok(())
}

fn folder_at(root: BorrowedFd<'_>, path: &[u8]) -> Option<Stat> {
    let name = if path.is_empty() { &b"."[..] } else { path };
    let flags = OFlags::PATH | OFlags::NOFOLLOW | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let found =
        rustix::fs::openat2(root, name, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_SYMLINKS);
    rustix::fs::statat(found.ok()?, "", AtFlags::EMPTY_PATH).ok()
}
