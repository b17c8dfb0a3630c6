//! The folders of a layer while it is written: opened below its root only (openat2, RESOLVE_BENEATH), made where the layer
//! does not name them, remembered while they stay.

use super::path::EntryPath;
use super::{Rights, whiteout};
use crate::limits::OPEN_FOLDERS;
use crate::removal;
use rustix::fd::{AsFd, BorrowedFd, OwnedFd};
use rustix::fs::{AtFlags, Mode, OFlags, ResolveFlags};
use rustix::io::Errno;
use std::collections::{BTreeSet, HashMap};
use std::rc::Rc;

/// The open root of a layer's folder, with what was opened below it.
pub(super) struct Dirs {
    root: Rc<OwnedFd>,
    open: HashMap<Vec<u8>, Rc<OwnedFd>>,
    rights: Rights,
    /// Folders made because an entry needed them, not because the layer has them.
    pub(super) implied: BTreeSet<Vec<u8>>,
}

impl Dirs {
    pub(super) fn new(root: OwnedFd, rights: Rights) -> Self {
        let implied = BTreeSet::from([Vec::new()]);
        Self { root: Rc::new(root), open: HashMap::new(), rights, implied }
    }

    /// The folder at `path`, made with its parents if the layer has not made it yet.
    pub(super) fn folder(&mut self, path: &[u8]) -> Result<Rc<OwnedFd>, Errno> {
        if path.is_empty() {
            return Ok(Rc::clone(&self.root));
        }
        if let Some(found) = self.open.get(path) {
            return Ok(Rc::clone(found));
        }
        let folder = match open_below(self.root.as_fd(), path) {
            Ok(folder) => folder,
            Err(Errno::NOENT | Errno::NOTDIR) => self.make(path)?,
            Err(error) => return Err(error),
        };
        if self.open.len() >= OPEN_FOLDERS {
            self.open.clear();
        }
        let folder = Rc::new(folder);
        self.open.insert(path.to_owned(), Rc::clone(&folder));
        Ok(folder)
    }

    /// The folder at `path` if it is still there.
    pub(super) fn existing(&self, path: &[u8]) -> Result<Rc<OwnedFd>, Errno> {
        match self.open.get(path) {
            _ if path.is_empty() => Ok(Rc::clone(&self.root)),
            Some(found) => Ok(Rc::clone(found)),
            None => open_below(self.root.as_fd(), path).map(Rc::new),
        }
    }

    /// The folder that `path` is in, and its name there.
    pub(super) fn parent<'p>(&mut self, path: &'p EntryPath) -> Result<(Rc<OwnedFd>, &'p [u8]), Errno> {
        let (folder, name) = path.split();
        Ok((self.folder(folder)?, name))
    }

    fn make(&mut self, path: &[u8]) -> Result<OwnedFd, Errno> {
        let (above, name) = match path.iter().rposition(|byte| *byte == b'/') {
            Some(slash) => (&path[..slash], &path[slash + 1..]),
            None => (&path[..0], path),
        };
        let parent = self.folder(above)?;
        match rustix::fs::mkdirat(&*parent, name, Mode::from_raw_mode(0o755)) {
            Ok(()) => {
                // Whatever this process's umask is.
                rustix::fs::chmodat(&*parent, name, Mode::from_raw_mode(0o755), AtFlags::empty())?;
                self.implied.insert(path.to_owned());
            }
            Err(Errno::EXIST) if whiteout::is_whiteout(parent.as_fd(), name)? => {
                whiteout::replace_by_opaque_folder(parent.as_fd(), name, self.rights)?;
                self.implied.insert(path.to_owned());
            }
            // A symlink or a file: opening below says which.
            Err(Errno::EXIST) => {}
            Err(error) => return Err(error),
        }
        open_below(self.root.as_fd(), path)
    }

    /// Something that was there is no more: what is remembered may be stale.
    pub(super) fn forget(&mut self) {
        self.open.clear();
    }

    /// Removes whatever `name` is.
    pub(super) fn remove(&mut self, parent: BorrowedFd<'_>, name: &[u8]) -> Result<(), Errno> {
        self.forget();
        removal::remove(parent, name)
    }
}

/// Opens a folder strictly below `root`: no `..`, no absolute symlink, no magic link gets out.
pub(super) fn open_below(root: BorrowedFd<'_>, path: &[u8]) -> Result<OwnedFd, Errno> {
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    rustix::fs::openat2(root, path, flags, Mode::empty(), ResolveFlags::BENEATH | ResolveFlags::NO_MAGICLINKS)
}
