//! A container's root directory as a descriptor. Every path below it is the container's, so hostile: it is resolved by
//! openat2 with the root as `/`, never as a string, and `..` and symbolic links cannot leave it.

use rustix::fs::{Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::{Component, Path, PathBuf};

/// An open root directory.
#[derive(Debug)]
pub struct RootDir(OwnedFd);

impl RootDir {
    /// Opens a trusted host path as a root.
    pub fn open(path: &Path) -> Result<Self, Errno> {
        let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
        Ok(Self(rustix::fs::open(path, flags, Mode::empty())?))
    }

    pub fn from_fd(fd: OwnedFd) -> Self {
        Self(fd)
    }

    /// What is at `path` (resolved in the root, symbolic links followed inside it) as an `O_PATH` descriptor.
    pub fn find(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_in(path, OFlags::PATH, Mode::empty())
    }

    /// As [`Self::find`], but a symbolic link in the last component is itself what is found.
    pub fn find_link(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_in(path, OFlags::PATH | OFlags::NOFOLLOW, Mode::empty())
    }

    /// Opens a file with the given flags. `EAGAIN` (a rename raced with `..`) is retried.
    pub fn open_in(&self, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
        open_below(self.0.as_fd(), path, flags, mode)
    }

    /// Finds the directory at `path`, making what is missing with mode 0755. Components that exist may be symbolic links
    /// inside the root; a dangling one is an error, never a directory made somewhere else.
    pub fn make_dirs(&self, path: &Path) -> Result<OwnedFd, Errno> {
        match self.find_dir(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        // Most often the folder above is there.
        let (mut known, mut missing) = (plain(path)?, Vec::new());
        let mut at = loop {
            let Some(name) = known.file_name().map(OsStr::to_owned) else { return Err(Errno::NOENT) };
            missing.push(name);
            known.pop();
            match self.find_dir(&known) {
                Err(Errno::NOENT) => {}
                other => break other?,
            }
        };
        for name in missing.iter().rev() {
            at = make_dir(at.as_fd(), name)?;
        }
        Ok(at)
    }

    fn find_dir(&self, path: &Path) -> Result<OwnedFd, Errno> {
        self.open_in(path, OFlags::PATH | OFlags::DIRECTORY, Mode::empty())
    }

    /// Finds the file at `path`, making an empty one (and its directories) when nothing is there.
    pub fn make_file(&self, path: &Path) -> Result<OwnedFd, Errno> {
        match self.find(path) {
            Err(Errno::NOENT) => {}
            other => return other,
        }
        let (parent, name) = self.parent(path)?;
        let flags = OFlags::CREATE | OFlags::EXCL | OFlags::NOFOLLOW | OFlags::CLOEXEC | OFlags::WRONLY;
        match rustix::fs::openat(&parent, name, flags, Mode::from_raw_mode(0o755)) {
            Ok(_) | Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        rustix::fs::openat(&parent, name, OFlags::PATH | OFlags::NOFOLLOW | OFlags::CLOEXEC, Mode::empty())
    }

    /// The directory that holds (or will hold) `path`, made if missing, and the last component.
    pub fn parent<'p>(&self, path: &'p Path) -> Result<(OwnedFd, &'p OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let parent = path.parent().unwrap_or_else(|| Path::new("/"));
        Ok((self.make_dirs(parent)?, name))
    }
}

impl AsFd for RootDir {
    fn as_fd(&self) -> BorrowedFd<'_> {
        self.0.as_fd()
    }
}

/// Resolves `path` with `root` as `/`; magic links (`/proc/self/fd/N`) are refused.
pub fn open_below(root: BorrowedFd<'_>, path: &Path, flags: OFlags, mode: Mode) -> Result<OwnedFd, Errno> {
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    loop {
        match rustix::fs::openat2(root, path, flags | OFlags::CLOEXEC, mode, resolve) {
            Err(Errno::AGAIN) => {}
            other => return other,
        }
    }
}

/// A path from `/` without `.`; one with `..` is refused: what is to be made must be written plainly.
fn plain(path: &Path) -> Result<PathBuf, Errno> {
    let mut out = PathBuf::from("/");
    for component in path.components() {
        match component {
            Component::Normal(name) => out.push(name),
            Component::RootDir | Component::CurDir => {}
            Component::ParentDir | Component::Prefix(_) => return Err(Errno::INVAL),
        }
    }
    Ok(out)
}

fn make_dir(parent: BorrowedFd<'_>, name: &OsStr) -> Result<OwnedFd, Errno> {
    match rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755)) {
        Ok(()) | Err(Errno::EXIST) => {}
        Err(error) => return Err(error),
    }
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    rustix::fs::openat(parent, name, flags, Mode::empty())
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::unix::fs::symlink;

    fn scratch(name: &str) -> PathBuf {
        let path = std::env::temp_dir().join(format!("plimsoll-root-{name}-{}", std::process::id()));
        std::fs::create_dir_all(path.join("root")).expect("scratch");
        path
    }

    #[test]
    fn links_stay_inside_and_nothing_is_made_outside() {
        let top = scratch("links");
        symlink("../..", top.join("root/up")).expect("symlink");
        symlink("/outside", top.join("root/abs")).expect("symlink");
        let root = RootDir::open(&top.join("root")).expect("root");
        root.make_dirs(Path::new("/up/made")).expect("clamped to the root");
        assert!(top.join("root/made").is_dir() && !top.join("made").exists());
        assert!(root.make_dirs(Path::new("/abs/x")).is_err(), "a dangling link is not a place to make things");
        assert!(!Path::new("/outside").exists());
        assert_eq!(root.make_dirs(Path::new("/new/../../x")).err(), Some(Errno::INVAL));
        std::fs::remove_dir_all(&top).expect("clean");
    }
}
