//! Owner, mode, attributes and times of what was made, in the order in which the kernel keeps them: changing the owner
//! drops setuid bits and file capabilities, so it comes first; times come last.

use super::Rights;
use rustix::fd::{AsFd, BorrowedFd};
use rustix::fs::{AtFlags, Gid, Mode, Timespec, Timestamps, Uid, XattrFlags};
use rustix::io::Errno;
use tar_core::PaxExtensions;
use tar_core::parse::ParsedEntry;

/// What an entry says of itself, apart from its name and content.
pub(super) struct Meta {
    pub(super) mode: u32,
    uid: u32,
    gid: u32,
    mtime: Timespec,
    xattrs: Vec<(Vec<u8>, Vec<u8>)>,
}

/// An owner outside the kernel's range.
pub(super) struct BadOwner;

/// Attributes by which overlayfs itself steers: from a layer they would let an image redirect its own lookups.
const OVERLAY_PREFIXES: [&[u8]; 2] = [b"trusted.overlay.", b"user.overlay."];

impl Meta {
    pub(super) fn of(entry: &ParsedEntry<'_>) -> Result<Self, BadOwner> {
        // 2^32-1 means "unchanged" to chown.
        let id = |id: u64| u32::try_from(id).ok().filter(|id| *id != u32::MAX).ok_or(BadOwner);
        let keep = |(name, _): &&(std::borrow::Cow<'_, [u8]>, std::borrow::Cow<'_, [u8]>)| {
            !OVERLAY_PREFIXES.iter().any(|prefix| name.starts_with(prefix))
        };
        let xattrs = entry.xattrs.iter().filter(keep).map(|(n, v)| (n.to_vec(), v.to_vec())).collect();
        let seconds = i64::try_from(entry.mtime).unwrap_or(i64::MAX);
        let mtime = Timespec { tv_sec: seconds, tv_nsec: entry.pax.map_or(0, fraction) };
        Ok(Self { mode: entry.mode & 0o7777, uid: id(entry.uid)?, gid: id(entry.gid)?, mtime, xattrs })
    }

    pub(super) fn times(&self) -> Timestamps {
        Timestamps { last_access: self.mtime, last_modification: self.mtime }
    }

    fn owner(&self) -> (Option<Uid>, Option<Gid>) {
        (Some(Uid::from_raw(self.uid)), Some(Gid::from_raw(self.gid)))
    }

    /// For an open file or folder. A folder's times are set when all of it is written.
    pub(super) fn apply(&self, file: BorrowedFd<'_>, rights: Rights, with_times: bool) -> Result<(), Errno> {
        if rights.chown {
            let (uid, gid) = self.owner();
            rustix::fs::fchown(file, uid, gid)?;
        }
        rustix::fs::fchmod(file, Mode::from_raw_mode(self.mode))?;
        for (name, value) in &self.xattrs {
            tolerate(rustix::fs::fsetxattr(file, name.as_slice(), value, XattrFlags::empty()), name, rights)?;
        }
        if with_times { rustix::fs::futimens(file, &self.times()) } else { Ok(()) }
    }

    /// For what cannot be opened: symlinks, devices, FIFOs. `name` was just made in `parent` by us.
    pub(super) fn apply_at(
        &self,
        parent: BorrowedFd<'_>,
        name: &[u8],
        symlink: bool,
        rights: Rights,
    ) -> Result<(), Errno> {
        if rights.chown {
            let (uid, gid) = self.owner();
            rustix::fs::chownat(parent, name, uid, gid, AtFlags::SYMLINK_NOFOLLOW)?;
        }
        if !symlink {
            rustix::fs::chmodat(parent, name, Mode::from_raw_mode(self.mode), AtFlags::empty())?;
        }
        if !self.xattrs.is_empty() {
            let path = through_proc(parent, name);
            for (key, value) in &self.xattrs {
                let set = rustix::fs::lsetxattr(path.as_slice(), key.as_slice(), value, XattrFlags::empty());
                tolerate(set, key, rights)?;
            }
        }
        rustix::fs::utimensat(parent, name, &self.times(), AtFlags::SYMLINK_NOFOLLOW)
    }
}

/// There is no lsetxattrat before kernel 6.13: our own descriptor's link in /proc leads to the same folder.
fn through_proc(parent: BorrowedFd<'_>, name: &[u8]) -> Vec<u8> {
    use std::os::fd::AsRawFd;
    let mut path = format!("/proc/self/fd/{}/", parent.as_fd().as_raw_fd()).into_bytes();
    path.extend_from_slice(name);
    path
}

/// A file system without attributes, or a store without rights, leaves them out.
fn tolerate(set: Result<(), Errno>, name: &[u8], rights: Rights) -> Result<(), Errno> {
    match set {
        Err(Errno::OPNOTSUPP) => Ok(()),
        Err(Errno::PERM) if !rights.trusted_xattr || name.starts_with(b"user.") => Ok(()),
        other => other,
    }
}

/// Nanoseconds of a PAX `mtime` such as `1700000000.123`.
fn fraction(pax: &[u8]) -> i64 {
    let Some(text) = PaxExtensions::new(pax).get("mtime") else { return 0 };
    let Some((_, digits)) = text.split_once('.') else { return 0 };
    let nine: String = digits.chars().chain("000000000".chars()).take(9).collect();
    nine.parse().unwrap_or(0)
}
