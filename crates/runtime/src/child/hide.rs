//! Masked and read-only paths, after the pivot: `/` is the container's now, and still hostile.

use crate::fault::{At, Os};
use crate::plan::Plan;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::mount::{self, ATTR_RDONLY, Attributes};
use plimsoll_sys::root::RootDir;
use rustix::fs::{FileType, major, minor};
use rustix::io::Errno;
use std::os::fd::OwnedFd;
use std::path::Path;

pub(super) fn apply(plan: &Plan) -> Result<(), Fault> {
    if plan.masked.is_empty() && plan.readonly_paths.is_empty() {
        return Ok(());
    }
    let root = RootDir::open(Path::new("/")).at("hide", "open", "/", || "cannot open the rootfs".into())?;
    for path in &plan.readonly_paths {
        readonly(&root, path)?;
    }
    let mut covers = Covers { label: plan.mount_label.as_deref(), ..Covers::default() };
    for path in &plan.masked {
        mask(&root, path, &mut covers)?;
    }
    Ok(())
}

/// What is not there needs no hiding.
fn found(root: &RootDir, path: &Path) -> Result<Option<OwnedFd>, Fault> {
    match root.find(path) {
        Ok(fd) => Ok(Some(fd)),
        Err(Errno::NOENT | Errno::NOTDIR) => Ok(None),
        Err(error) => Err(error).at("hide", "openat2", path, || format!("cannot look at {}", path.display())),
    }
}

fn readonly(root: &RootDir, path: &Path) -> Result<(), Fault> {
    let Some(there) = found(root, path)? else { return Ok(()) };
    let what = || format!("cannot make {} read-only", path.display());
    let copy = mount::clone_fd(&there, true).at("hide", "open_tree", path, what)?;
    mount::set_attributes(&copy, Attributes::set(ATTR_RDONLY), false).at("hide", "mount_setattr", path, what)?;
    mount::attach(&copy, &there).at("hide", "move_mount", path, what)
}

/// One `/dev/null` and one empty read-only tmpfs, copied for each path.
#[derive(Default)]
struct Covers<'a> {
    /// SELinux context of the tmpfs.
    label: Option<&'a str>,
    file: Option<OwnedFd>,
    folder: Option<OwnedFd>,
}

fn mask(root: &RootDir, path: &Path, covers: &mut Covers<'_>) -> Result<(), Fault> {
    let Some(there) = found(root, path)? else { return Ok(()) };
    let what = || format!("cannot mask {}", path.display());
    let stat = rustix::fs::fstat(&there).at("hide", "fstat", path, what)?;
    let attach = |cover: &OwnedFd| mount::attach(cover, &there).at("hide", "move_mount", path, what);
    let cover = if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        // The first folder gets the tmpfs itself: left detached, it would be taken down when closed, and that waits for a
        // grace period of the kernel.
        if covers.folder.is_none() {
            return attach(covers.folder.insert(empty(path, covers.label)?));
        }
        stored(&mut covers.folder, || empty(path, covers.label))?
    } else {
        stored(&mut covers.file, || null(root))?
    };
    attach(&mount::clone_fd(cover, false).at("hide", "open_tree", path, what)?)
}

fn stored(slot: &mut Option<OwnedFd>, make: impl FnOnce() -> Result<OwnedFd, Fault>) -> Result<&OwnedFd, Fault> {
    let fd = match slot.take() {
        Some(fd) => fd,
        None => make()?,
    };
    Ok(slot.insert(fd))
}

fn empty(path: &Path, label: Option<&str>) -> Result<OwnedFd, Fault> {
    // Small on purpose: it is read-only and stays empty.
    let mut options = vec!["nr_blocks=1".to_owned(), "nr_inodes=1".to_owned()];
    options.extend(label.map(|label| format!("context={label}")));
    mount::new("tmpfs", Some("tmpfs"), &options, ATTR_RDONLY).map_err(|error| {
        let what = format!("cannot mask {}", path.display());
        Fault::new(Layer::OciRuntime, "hide", what).os(error.syscall, path, &error.errno.into())
    })
}

/// The container's `/dev/null`, proved to be the device (CVE-2025-31133).
fn null(root: &RootDir) -> Result<OwnedFd, Fault> {
    let path = Path::new("/dev/null");
    let what = || "cannot use /dev/null as a cover".to_owned();
    let fd = root.find_link(path).at("hide", "openat2", path, what)?;
    let stat = rustix::fs::fstat(&fd).at("hide", "fstat", path, what)?;
    let device = (major(stat.st_rdev), minor(stat.st_rdev));
    if FileType::from_raw_mode(stat.st_mode) == FileType::CharacterDevice && device == (1, 3) {
        return Ok(fd);
    }
    Err(Fault::new(Layer::OciRuntime, "hide", "/dev/null of the container is not the null device")
        .kind(Kind::FailedPrecondition))
}
