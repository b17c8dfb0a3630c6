//! Whiteouts (OCI image-spec, layer.md): `.wh.NAME` hides NAME of the layers below, `.wh..wh..opq` hides all that is below
//! its folder. On disk they are overlayfs's: a character device 0:0, an attribute on the folder.

use super::Rights;
use rustix::fd::BorrowedFd;
use rustix::fs::{AtFlags, FileType, Mode, OFlags, XattrFlags};
use rustix::io::Errno;

const PREFIX: &[u8] = b".wh.";
const OPAQUE: &[u8] = b".wh..wh..opq";
const AUFS: &[u8] = b".wh..wh.";

/// What a file name means.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Meaning<'n> {
    /// An ordinary file.
    Plain,
    /// The folder it is in is opaque.
    Opaque,
    /// This name is hidden.
    Hides(&'n [u8]),
    /// Bookkeeping of AUFS: means nothing to anybody else.
    Bookkeeping,
    /// `.wh.` of nothing, of `.` or of `..`.
    Malformed,
}

pub(super) fn meaning(name: &[u8]) -> Meaning<'_> {
    if name == OPAQUE {
        return Meaning::Opaque;
    }
    if name.starts_with(AUFS) {
        return Meaning::Bookkeeping;
    }
    match name.strip_prefix(PREFIX) {
        None => Meaning::Plain,
        Some(b"" | b"." | b"..") => Meaning::Malformed,
        Some(hidden) => Meaning::Hides(hidden),
    }
}

/// Hides `name` of the layers below. What this layer itself has there stays: a folder of it becomes opaque.
pub(super) fn hide(parent: BorrowedFd<'_>, name: &[u8], rights: Rights) -> Result<(), Errno> {
    match rustix::fs::mknodat(parent, name, FileType::CharacterDevice, Mode::empty(), 0) {
        Err(Errno::EXIST) => {
            let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
            if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
                let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
                let folder = rustix::fs::openat(parent, name, flags, Mode::empty())?;
                make_opaque(&folder, rights)?;
            }
            Ok(())
        }
        other => other,
    }
}

pub(super) fn make_opaque(folder: impl rustix::fd::AsFd, rights: Rights) -> Result<(), Errno> {
    rustix::fs::fsetxattr(folder, rights.opaque_name(), b"y", XattrFlags::empty())
}

pub(super) fn is_whiteout(parent: BorrowedFd<'_>, name: &[u8]) -> Result<bool, Errno> {
    let stat = rustix::fs::statat(parent, name, AtFlags::SYMLINK_NOFOLLOW)?;
    Ok(FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && stat.st_rdev == 0)
}

/// The layer hid a name and now has a folder there: nothing of the folder below may show through.
pub(super) fn replace_by_opaque_folder(parent: BorrowedFd<'_>, name: &[u8], rights: Rights) -> Result<(), Errno> {
    rustix::fs::unlinkat(parent, name, AtFlags::empty())?;
    rustix::fs::mkdirat(parent, name, Mode::from_raw_mode(0o755))?;
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::NOFOLLOW | OFlags::CLOEXEC;
    make_opaque(rustix::fs::openat(parent, name, flags, Mode::empty())?, rights)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_mean_what_the_spec_says() {
        assert_eq!(meaning(b"a"), Meaning::Plain);
        assert_eq!(meaning(b".wh.a"), Meaning::Hides(b"a"));
        assert_eq!(meaning(b".wh..wh..opq"), Meaning::Opaque);
        assert_eq!(meaning(b".wh..wh.plnk"), Meaning::Bookkeeping);
        for name in [&b".wh."[..], b".wh..", b".wh..."] {
            assert_eq!(meaning(name), Meaning::Malformed);
        }
        assert_eq!(meaning(b".wh.a.b"), Meaning::Hides(b"a.b"));
    }
}
