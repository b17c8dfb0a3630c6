//! `/dev`: nodes, the links every program expects, and `ptmx`.

use crate::fault::At;
use crate::plan::DevicePlan;
use plimsoll_fault::Fault;
use plimsoll_sys::mount;
use plimsoll_sys::root::RootDir;
use rustix::fs::{AtFlags, FileType, Gid, Mode, Stat, Uid, makedev};
use rustix::io::Errno;
use std::ffi::OsStr;
use std::os::fd::OwnedFd;
use std::path::Path;

/// Link text and the link's path.
const LINKS: [(&str, &str); 5] = [
    ("/proc/self/fd", "/dev/fd"),
    ("/proc/self/fd/0", "/dev/stdin"),
    ("/proc/self/fd/1", "/dev/stdout"),
    ("/proc/self/fd/2", "/dev/stderr"),
    ("pts/ptmx", "/dev/ptmx"),
];

pub(super) fn make(root: &RootDir, devices: &[DevicePlan]) -> Result<(), Fault> {
    let mut folders = Folders { root, last: None };
    for device in devices {
        node(&mut folders, device)?;
    }
    for (text, path) in LINKS {
        link(&mut folders, text, Path::new(path))?;
    }
    if Path::new("/proc/kcore").exists() {
        link(&mut folders, "/proc/kcore", Path::new("/dev/core"))?;
    }
    Ok(())
}

/// The folder of the last path, which is nearly always `/dev`: resolved once.
struct Folders<'a> {
    root: &'a RootDir,
    last: Option<(&'a Path, OwnedFd)>,
}

impl<'a> Folders<'a> {
    fn of(&mut self, path: &'a Path) -> Result<(&OwnedFd, &'a OsStr), Errno> {
        let name = path.file_name().ok_or(Errno::INVAL)?;
        let above = path.parent().unwrap_or(Path::new("/"));
        let folder = match self.last.take() {
            Some((known, folder)) if known == above => folder,
            _ => self.root.parent(path)?.0,
        };
        Ok((&self.last.insert((above, folder)).1, name))
    }
}

fn node<'a>(folders: &mut Folders<'a>, device: &'a DevicePlan) -> Result<(), Fault> {
    let what = || format!("cannot make the device {}", device.path.display());
    let root = folders.root;
    let (folder, name) = folders.of(&device.path).at("devices", "openat2", &device.path, what)?;
    let number = makedev(device.major, device.minor);
    match rustix::fs::mknodat(folder, name, device.kind, Mode::from_raw_mode(device.mode), number) {
        Ok(()) => {}
        Err(Errno::EXIST) => return verify(folder, name, device),
        // In a user namespace nobody makes devices, whatever capabilities it gives.
        Err(Errno::PERM) => return bind(root, device),
        Err(error) => return Err(error).at("devices", "mknodat", &device.path, what),
    }
    if (device.uid, device.gid) != (0, 0) {
        let (uid, gid) = (Uid::from_raw(device.uid), Gid::from_raw(device.gid));
        rustix::fs::chownat(folder, name, Some(uid), Some(gid), AtFlags::SYMLINK_NOFOLLOW).at(
            "devices",
            "fchownat",
            &device.path,
            what,
        )?;
    }
    Ok(())
}

/// The host's node of the same name, if it is the very device, shown where it cannot be made. The host's `/dev` is still
/// there to be named: this comes before the pivot.
fn bind(root: &RootDir, device: &DevicePlan) -> Result<(), Fault> {
    let what = || format!("cannot make the device {}", device.path.display());
    let node = mount::clone_path(&device.path, false).at("devices", "open_tree", &device.path, what)?;
    let stat = rustix::fs::fstat(&node).at("devices", "fstat", &device.path, what)?;
    if !is(&stat, device) {
        return Err(Errno::PERM).at("devices", "mknodat", &device.path, || {
            format!("the device {} cannot be made, and the host has something else there", device.path.display())
        });
    }
    let target = root.make_file(&device.path).at("devices", "openat2", &device.path, what)?;
    mount::attach(&node, &target).at("devices", "move_mount", &device.path, what)
}

fn is(stat: &Stat, device: &DevicePlan) -> bool {
    FileType::from_raw_mode(stat.st_mode) == device.kind
        && (device.kind == FileType::Fifo || stat.st_rdev == makedev(device.major, device.minor))
}

/// A node that is there already must be the very one (CVE-2025-31133: an image's `/dev/null` may be a link to anything).
fn verify(folder: impl rustix::fd::AsFd, name: &std::ffi::OsStr, device: &DevicePlan) -> Result<(), Fault> {
    let what = || format!("the rootfs has something else at {}", device.path.display());
    let stat =
        rustix::fs::statat(folder, name, AtFlags::SYMLINK_NOFOLLOW).at("devices", "fstatat", &device.path, what)?;
    if is(&stat, device) { Ok(()) } else { Err(Errno::EXIST).at("devices", "mknodat", &device.path, what) }
}

/// A link of the image stays if it is the same. `/dev/ptmx` of the image is replaced: it would be the host's.
fn link<'a>(folders: &mut Folders<'a>, text: &str, path: &'a Path) -> Result<(), Fault> {
    let what = || format!("cannot make the link {}", path.display());
    let (folder, name) = folders.of(path).at("devices", "openat2", path, what)?;
    match rustix::fs::symlinkat(text, folder, name) {
        Ok(()) => return Ok(()),
        Err(Errno::EXIST) => {}
        Err(error) => return Err(error).at("devices", "symlinkat", path, what),
    }
    let there = rustix::fs::readlinkat(folder, name, Vec::new());
    if there.is_ok_and(|there| there.as_bytes() == text.as_bytes()) {
        return Ok(());
    }
    rustix::fs::unlinkat(folder, name, AtFlags::empty()).at("devices", "unlinkat", path, what)?;
    rustix::fs::symlinkat(text, folder, name).at("devices", "symlinkat", path, what)
}
