//! `tmpcopyup`: a tmpfs that begins with what the folder below it holds.

use crate::fault::At;
use plimsoll_fault::Fault;
use rustix::fs::{AtFlags, Dir, FileType, Gid, Mode, OFlags, Stat, Uid};
use rustix::io::Errno;
use std::ffi::CStr;
use std::os::fd::{AsFd, BorrowedFd, OwnedFd};
use std::path::Path;

/// Deeper trees are refused with ELOOP: each level holds descriptors.
const DEPTH: usize = 64;

/// Copies everything in `from` (a folder inside the root, `O_PATH`) into the root of `tmpfs`, with owners and modes. Neither
/// links nor mounts are followed: every entry is opened by name in its own folder.
pub(super) fn copy_up(from: &OwnedFd, tmpfs: &OwnedFd, target: &Path) -> Result<(), Fault> {
    let what = || format!("cannot copy {} up into its tmpfs", target.display());
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let open = |fd: &OwnedFd| rustix::fs::openat(fd, ".", flags, Mode::empty());
    let (from, to) = (open(from), open(tmpfs));
    let (from, to) = (from.at("mount", "openat", target, what)?, to.at("mount", "openat", target, what)?);
    let stat = rustix::fs::fstat(&from).at("mount", "fstat", target, what)?;
    folder(&from, &to, 0).at("mount", "copy", target, what)?;
    own(to.as_fd(), c".", &stat).at("mount", "fchownat", target, what)
}

fn folder(from: &OwnedFd, to: &OwnedFd, depth: usize) -> Result<(), Errno> {
    if depth > DEPTH {
        return Err(Errno::LOOP);
    }
    for entry in Dir::read_from(from)? {
        let entry = entry?;
        let name = entry.file_name();
        if name == c"." || name == c".." {
            continue;
        }
        one(from, to, name, depth)?;
    }
    Ok(())
}

fn one(from: &OwnedFd, to: &OwnedFd, name: &CStr, depth: usize) -> Result<(), Errno> {
    let stat = rustix::fs::statat(from, name, AtFlags::SYMLINK_NOFOLLOW)?;
    let private = Mode::RUSR | Mode::WUSR | Mode::XUSR;
    let no_follow = OFlags::NOFOLLOW | OFlags::CLOEXEC;
    match FileType::from_raw_mode(stat.st_mode) {
        FileType::Directory => {
            rustix::fs::mkdirat(to, name, private)?;
            let open = |at: &OwnedFd| {
                rustix::fs::openat(at, name, OFlags::RDONLY | OFlags::DIRECTORY | no_follow, Mode::empty())
            };
            folder(&open(from)?, &open(to)?, depth + 1)?;
        }
        FileType::RegularFile => {
            let source = rustix::fs::openat(from, name, OFlags::RDONLY | no_follow, Mode::empty())?;
            let create = OFlags::WRONLY | OFlags::CREATE | OFlags::EXCL | no_follow;
            let copy = rustix::fs::openat(to, name, create, private)?;
            while rustix::fs::sendfile(&copy, &source, None, 1 << 20)? > 0 {}
        }
        FileType::Symlink => {
            let text = rustix::fs::readlinkat(from, name, Vec::new())?;
            rustix::fs::symlinkat(text.as_c_str(), to, name)?;
        }
        FileType::Fifo | FileType::CharacterDevice | FileType::BlockDevice => {
            rustix::fs::mknodat(to, name, FileType::from_raw_mode(stat.st_mode), private, stat.st_rdev)?;
        }
        // A socket's file means nothing without its listener.
        FileType::Socket | FileType::Unknown => return Ok(()),
    }
    own(to.as_fd(), name, &stat)
}

/// Owner first: changing it clears set-id bits.
fn own(folder: BorrowedFd<'_>, name: &CStr, stat: &Stat) -> Result<(), Errno> {
    let (uid, gid) = (Uid::from_raw(stat.st_uid), Gid::from_raw(stat.st_gid));
    rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW)?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Symlink {
        return Ok(());
    }
    rustix::fs::chmodat(folder, name, Mode::from_raw_mode(stat.st_mode & 0o7777), AtFlags::empty())
}
