//! Removing what others filled. A container can make folders deeper than a process may have open descriptors, or stack for a
//! recursion: here a tree takes three descriptors, whatever its depth.

use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, CWD, Dir, Mode, OFlags, RenameFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::path::Path;

/// Removes a trusted host path, with all that is below it if it is a folder. What is not there is an error.
pub(crate) fn remove_path(path: &Path) -> Result<(), Errno> {
    let name = path.file_name().ok_or(Errno::INVAL)?;
    let above = path.parent().filter(|above| *above != Path::new("")).unwrap_or(Path::new("."));
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let parent = rustix::fs::openat(CWD, above, flags, Mode::empty())?;
    remove(parent.as_fd(), OsStr::as_encoded_bytes(name))
}

/// Removes whatever `name` is; a symbolic link is not followed.
pub(crate) fn remove(parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
    if unlink(parent, name)? {
        return Ok(());
    }
    let mut top = Dir::new(open(parent, name)?)?;
    let mut lifted = 0;
    // What is lifted to the top while it is read may or may not be seen: the last turn finds nothing.
    while clear(&mut top, |top, folder| flatten(top, folder, &mut lifted))? {
        top.rewind();
    }
    rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR)
}

/// Removes a folder in `top`, and moves the folders in it that are not empty up to `top`.
fn flatten(top: BorrowedFd<'_>, name: &[u8], lifted: &mut u64) -> Result<(), Errno> {
    let mut folder = Dir::new(open(top, name)?)?;
    clear(&mut folder, |folder, child| lift(folder, child, top, lifted))?;
    match rustix::fs::unlinkat(top, name, AtFlags::REMOVEDIR) {
        // A file system may skip entries of a folder that changes while it is read: the next turn sees to it.
        Err(Errno::NOTEMPTY) => Ok(()),
        other => other,
    }
}

fn lift(from: BorrowedFd<'_>, name: &[u8], top: BorrowedFd<'_>, lifted: &mut u64) -> Result<(), Errno> {
    loop {
        *lifted += 1;
        match rustix::fs::renameat_with(from, name, top, lifted.to_string(), RenameFlags::NOREPLACE) {
            // The tree has that name at its top.
            Err(Errno::EXIST) => {}
            other => return other,
        }
    }
}

/// Removes all files and empty folders of `folder` and hands the other folders to `full`. Whether there was anything.
fn clear(folder: &mut Dir, mut full: impl FnMut(BorrowedFd<'_>, &[u8]) -> Result<(), Errno>) -> Result<bool, Errno> {
    let mut any = false;
    while let Some(entry) = folder.read() {
        let entry = entry?;
        let name = entry.file_name().to_bytes();
        if name == b"." || name == b".." {
            continue;
        }
        any = true;
        let parent = folder.fd()?;
        if unlink(parent, name)? {
            continue;
        }
        match rustix::fs::unlinkat(parent, name, AtFlags::REMOVEDIR) {
            Err(Errno::NOTEMPTY) => full(parent, name)?,
            other => other?,
        }
    }
    Ok(any)
}

/// False for a folder.
fn unlink(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    match rustix::fs::unlinkat(parent, name, AtFlags::empty()) {
        Ok(()) => Ok(true),
        Err(Errno::ISDIR) => Ok(false),
        Err(errno) => Err(errno),
    }
}

fn open(parent: BorrowedFd<'_>, name: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::fs;

    #[test]
    fn links_are_removed_not_followed_and_names_may_clash() {
        let place = tempfile::tempdir().unwrap();
        let (kept, tree) = (place.path().join("kept"), place.path().join("tree"));
        fs::create_dir(&kept).unwrap();
        fs::write(kept.join("file"), "").unwrap();
        for n in 0..20 {
            fs::create_dir_all(tree.join(format!("{n}/{}/{n}", n + 1))).unwrap();
            fs::write(tree.join(format!("{n}/{}/file", n + 1)), "").unwrap();
        }
        std::os::unix::fs::symlink(&kept, tree.join("link")).unwrap();
        std::os::unix::fs::symlink(&kept, tree.join("3/4/3/link")).unwrap();
        remove_path(&tree).unwrap();
        assert!(!tree.exists() && kept.join("file").exists());
        assert_eq!(remove_path(&tree), Err(Errno::NOENT));
        std::os::unix::fs::symlink(&kept, &tree).unwrap();
        remove_path(&tree).unwrap();
        assert!(kept.join("file").exists());
    }

    #[test]
    fn depth_costs_neither_descriptors_nor_stack() {
        // In memory: a disk takes its time for so many folders.
        let place = tempfile::tempdir_in("/dev/shm").unwrap();
        let mut folder = open(CWD, place.path().as_os_str().as_encoded_bytes()).unwrap();
        for _ in 0..10_000 {
            rustix::fs::mkdirat(&folder, "deep", Mode::RWXU).unwrap();
            folder = open(folder.as_fd(), b"deep").unwrap();
        }
        rustix::fs::mkdirat(&folder, "last", Mode::RWXU).unwrap();
        remove_path(&place.path().join("deep")).unwrap();
        assert_eq!(fs::read_dir(place.path()).unwrap().count(), 0);
    }
}
