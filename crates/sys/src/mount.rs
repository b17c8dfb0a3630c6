//! The descriptor-based mount API (Linux 5.2) and `mount_setattr` (5.12): a mount is made detached, given its attributes, and
//! only then attached to a directory descriptor, so that no path is resolved twice and no mount is ever seen half set up.

use crate::errno;
use rustix::fs::{AtFlags, CWD, FileType};
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, FsPickFlags, MountAttrFlags, MountFlags, MountPropagationFlags, MoveMountFlags,
    OpenTreeFlags, UnmountFlags,
};
use std::ffi::CString;
use std::os::fd::{AsFd, AsRawFd, OwnedFd};
use std::path::Path;

/// Attributes to set and to clear on a mount, with the propagation to give it; what is not named stays.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Attributes {
    pub set: u64,
    pub clear: u64,
    /// One of `MS_SHARED`, `MS_SLAVE`, `MS_PRIVATE`, `MS_UNBINDABLE`, or 0.
    pub propagation: u64,
}

pub const ATTR_RDONLY: u64 = 0x1;
pub const ATTR_NOSUID: u64 = 0x2;
pub const ATTR_NODEV: u64 = 0x4;
pub const ATTR_NOEXEC: u64 = 0x8;
/// The field of access time modes; 0 in it is relatime.
pub const ATTR_ATIME: u64 = 0x70;
pub const ATTR_NOATIME: u64 = 0x10;
pub const ATTR_STRICTATIME: u64 = 0x20;
pub const ATTR_NODIRATIME: u64 = 0x80;
pub const ATTR_IDMAP: u64 = 0x10_0000;
pub const ATTR_NOSYMFOLLOW: u64 = 0x20_0000;

impl Attributes {
    pub fn is_none(self) -> bool {
        self == Self::default()
    }

    #[must_use]
    pub fn set(flags: u64) -> Self {
        Self { set: flags, ..Self::default() }
    }

    #[must_use]
    pub fn propagation(flag: MountPropagationFlags) -> Self {
        Self { propagation: u64::from(flag.bits()), ..Self::default() }
    }
}

#[repr(C)]
struct MountAttr {
    attr_set: u64,
    attr_clr: u64,
    propagation: u64,
    userns_fd: u64,
}

/// Changes a mount given by a descriptor inside it (its root), attached or not; with `recursive` the whole tree, all or
/// nothing.
pub fn set_attributes(mount: impl AsFd, attributes: Attributes, recursive: bool) -> Result<(), Errno> {
    set(mount, attributes, recursive, 0)
}

/// Makes a detached mount idmapped by a user namespace (Linux 5.12).
pub fn set_idmap(mount: impl AsFd, userns: impl AsFd, recursive: bool) -> Result<(), Errno> {
    let userns = u64::try_from(userns.as_fd().as_raw_fd()).map_err(|_| Errno::BADF)?;
    set(mount, Attributes::set(ATTR_IDMAP), recursive, userns)
}

fn set(mount: impl AsFd, attributes: Attributes, recursive: bool, userns_fd: u64) -> Result<(), Errno> {
    let mut attr = MountAttr {
        attr_set: attributes.set,
        attr_clr: attributes.clear,
        propagation: attributes.propagation,
        userns_fd,
    };
    // The kernel wants the whole access time field cleared before any mode is set in it.
    if attributes.set & ATTR_ATIME != 0 || attributes.clear & ATTR_ATIME != 0 {
        attr.attr_clr |= ATTR_ATIME;
    }
    let recurse = if recursive { AtFlags::from_bits_retain(0x8000) } else { AtFlags::empty() };
    let flags = (AtFlags::EMPTY_PATH | recurse).bits();
    // SAFETY: `attr` has the layout and size of struct mount_attr version 0 and is only read; the path is an empty C string.
    let got = unsafe {
        libc::syscall(
            libc::SYS_mount_setattr,
            mount.as_fd().as_raw_fd(),
            c"".as_ptr(),
            flags,
            std::ptr::from_mut(&mut attr),
            std::mem::size_of::<MountAttr>(),
        )
    };
    if got == 0 { Ok(()) } else { Err(errno::last()) }
}

/// Which call of a new filesystem failed, for the report.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct NewError {
    pub syscall: &'static str,
    /// The option being set, if any.
    pub option: String,
    pub errno: Errno,
}

/// A new, detached filesystem. `options` are fstab-style data words (`size=1m`, `ro` excluded: flags go to `attributes`).
pub fn new(kind: &str, source: Option<&str>, options: &[String], attributes: u64) -> Result<OwnedFd, NewError> {
    let fail = |syscall: &'static str, option: &str| {
        let option = option.to_owned();
        move |errno| NewError { syscall, option, errno }
    };
    let fs = rustix::mount::fsopen(kind, FsOpenFlags::FSOPEN_CLOEXEC).map_err(fail("fsopen", kind))?;
    if let Some(source) = source {
        rustix::mount::fsconfig_set_string(fs.as_fd(), "source", source).map_err(fail("fsconfig", "source"))?;
    }
    // Else a disk would be opened for writing, and its journal replayed, below a mount that is only read.
    if attributes & ATTR_RDONLY != 0 && source.is_some_and(is_disk) {
        rustix::mount::fsconfig_set_flag(fs.as_fd(), "ro").map_err(fail("fsconfig", "ro"))?;
    }
    configure(&fs, options)?;
    rustix::mount::fsconfig_create(fs.as_fd()).map_err(fail("fsconfig", "create"))?;
    let attributes = MountAttrFlags::from_bits_retain(u32::try_from(attributes).unwrap_or(0));
    rustix::mount::fsmount(fs.as_fd(), FsMountFlags::FSMOUNT_CLOEXEC, attributes).map_err(fail("fsmount", ""))
}

fn is_disk(source: &str) -> bool {
    rustix::fs::stat(source).is_ok_and(|stat| FileType::from_raw_mode(stat.st_mode) == FileType::BlockDevice)
}

fn configure(fs: &OwnedFd, options: &[String]) -> Result<(), NewError> {
    for option in options {
        let done = match option.split_once('=') {
            Some((key, value)) => rustix::mount::fsconfig_set_string(fs.as_fd(), key, value),
            None => rustix::mount::fsconfig_set_flag(fs.as_fd(), option.as_str()),
        };
        done.map_err(|errno| NewError { syscall: "fsconfig", option: option.clone(), errno })?;
    }
    Ok(())
}

/// Gives the filesystem mounted at `target` other options (fspick, Linux 5.2); `ro` and `rw` are its own ones here.
pub fn reconfigure(target: impl AsFd, options: &[String]) -> Result<(), NewError> {
    let fail = |syscall: &'static str| move |errno| NewError { syscall, option: String::new(), errno };
    let flags = FsPickFlags::FSPICK_EMPTY_PATH | FsPickFlags::FSPICK_CLOEXEC;
    let fs = rustix::mount::fspick(target.as_fd(), "", flags).map_err(fail("fspick"))?;
    configure(&fs, options)?;
    rustix::mount::fsconfig_reconfigure(fs.as_fd()).map_err(fail("fsconfig"))
}

/// A detached copy of the mount at a host path (`bind`, or with `recursive` `rbind`). The path is followed: it is the host's.
pub fn clone_path(path: &Path, recursive: bool) -> Result<OwnedFd, Errno> {
    rustix::mount::open_tree(CWD, path, tree_flags(recursive))
}

/// A detached copy of what a descriptor (`O_PATH` will do) shows.
pub fn clone_fd(fd: impl AsFd, recursive: bool) -> Result<OwnedFd, Errno> {
    rustix::mount::open_tree(fd, "", tree_flags(recursive) | OpenTreeFlags::AT_EMPTY_PATH)
}

fn tree_flags(recursive: bool) -> OpenTreeFlags {
    let base = OpenTreeFlags::OPEN_TREE_CLONE | OpenTreeFlags::OPEN_TREE_CLOEXEC;
    if recursive { base | OpenTreeFlags::AT_RECURSIVE } else { base }
}

/// Attaches a detached mount on top of what `target` shows.
pub fn attach(mount: impl AsFd, target: impl AsFd) -> Result<(), Errno> {
    let flags = MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH | MoveMountFlags::MOVE_MOUNT_T_EMPTY_PATH;
    rustix::mount::move_mount(mount, "", target, "", flags)
}

/// Attaches a detached mount at a trusted host path.
pub fn attach_path(mount: impl AsFd, target: &Path) -> Result<(), Errno> {
    rustix::mount::move_mount(mount, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

/// Sets the propagation of the whole mount tree of this namespace.
pub fn propagate_root(flags: MountPropagationFlags) -> Result<(), Errno> {
    rustix::mount::mount_change("/", flags)
}

/// Bytes of options that mount(2) takes: a page with a zero at its end. The kernel cuts what is longer off without a word.
pub const OPTIONS: usize = 4095;

/// Classic mount(2) on a trusted host path, for data longer than the 255 bytes fsconfig takes in one string. `E2BIG`: over
/// [`OPTIONS`].
pub fn classic(source: &str, target: &Path, kind: &str, flags: MountFlags, data: &str) -> Result<(), Errno> {
    if data.len() > OPTIONS {
        return Err(Errno::TOOBIG);
    }
    let data = CString::new(data).map_err(|_| Errno::INVAL)?;
    rustix::mount::mount(source, target, kind, flags, Some(data.as_c_str()))
}

/// Lazily unmounts a trusted host path without following a symbolic link in its last component.
pub fn detach(path: &Path) -> Result<(), Errno> {
    rustix::mount::unmount(path, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW)
}
