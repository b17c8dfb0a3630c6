//! Mounting what the daemon's snapshotter described on the bundle's `rootfs`, and taking it off again. Host paths from the
//! daemon, not from an image: nothing here runs inside a container.

use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::types::Mount;
use rustix::fs::CWD;
use rustix::io::Errno;
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, MountFlags, MoveMountFlags, UnmountFlags, fsconfig_create,
    fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen, mount as classic, mount_remount, move_mount,
    unmount as detach,
};
use std::ffi::CString;
use std::path::Path;

/// mount(2) takes one page of options; an overlay of many layers has more.
const PAGE: usize = 4000;

/// Flags of mount(8)'s words; a word that clears a flag has `false`.
const FLAGS: &[(&str, MountFlags, bool)] = &[
    ("ro", MountFlags::RDONLY, true),
    ("rw", MountFlags::RDONLY, false),
    ("bind", MountFlags::BIND, true),
    ("rbind", MountFlags::BIND.union(MountFlags::REC), true),
    ("nosuid", MountFlags::NOSUID, true),
    ("suid", MountFlags::NOSUID, false),
    ("nodev", MountFlags::NODEV, true),
    ("dev", MountFlags::NODEV, false),
    ("noexec", MountFlags::NOEXEC, true),
    ("exec", MountFlags::NOEXEC, false),
    ("noatime", MountFlags::NOATIME, true),
    ("nodiratime", MountFlags::NODIRATIME, true),
    ("relatime", MountFlags::RELATIME, true),
    ("strictatime", MountFlags::STRICTATIME, true),
    ("sync", MountFlags::SYNCHRONOUS, true),
    ("dirsync", MountFlags::DIRSYNC, true),
    ("defaults", MountFlags::empty(), true),
];

/// Mounts all of `mounts` in order below `target`, or none. False when there was nothing to mount.
pub(crate) fn mount(mounts: &[Mount], target: &Path) -> Result<bool, Fault> {
    if mounts.is_empty() {
        return Ok(false);
    }
    std::fs::create_dir_all(target).map_err(|e| fault("cannot make the rootfs folder", target).because(&e))?;
    for (count, entry) in mounts.iter().enumerate() {
        if let Err(first) = mount_one(entry, target) {
            let undone = if count == 0 { Ok(()) } else { unmount(target) };
            return Err(match undone {
                Ok(()) => first,
                Err(second) => first.why(second.to_string()),
            });
        }
    }
    Ok(true)
}

/// Takes off everything at `target`. What is no mount point, or not there, is no error.
pub(crate) fn unmount(target: &Path) -> Result<(), Fault> {
    loop {
        match detach(target, UnmountFlags::DETACH | UnmountFlags::NOFOLLOW) {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::NOENT) => return Ok(()),
            Err(errno) => {
                let path = target.to_string_lossy();
                return Err(fault("cannot unmount the rootfs", target).because(&errno).syscall(
                    "umount2",
                    &path,
                    errno.raw_os_error(),
                ));
            }
        }
    }
}

fn mount_one(entry: &Mount, rootfs: &Path) -> Result<(), Fault> {
    let target = match entry.target.trim_start_matches('/') {
        "" => rootfs.to_owned(),
        below => rootfs.join(below),
    };
    let (flags, data) = split(&entry.options);
    let failed = |errno: Errno| {
        let what = format!("cannot mount {} ({}) on", entry.r#type, entry.source);
        let fault = fault(&what, &target).because(&errno);
        let fault = fault.syscall("mount", &target.to_string_lossy(), errno.raw_os_error());
        if errno == Errno::NOENT { fault.kind(Kind::NotFound) } else { fault }
    };
    let text: usize = data.iter().map(|option| option.len() + 1).sum();
    if text > PAGE {
        return mount_by_parts(entry, flags, &data, &target).map_err(failed);
    }
    let joined = CString::new(data.join(",")).map_err(|_| failed(Errno::INVAL))?;
    classic(entry.source.as_str(), &target, entry.r#type.as_str(), flags, joined.as_c_str()).map_err(failed)?;
    if flags.contains(MountFlags::BIND) && flags.intersects(!(MountFlags::BIND | MountFlags::REC)) {
        // The kernel ignores the other flags of a bind mount until it is remounted.
        mount_remount(&target, flags, c"").map_err(failed)?;
    }
    Ok(())
}

/// One option at a time: overlay takes each lower folder by itself (Linux 6.5).
fn mount_by_parts(entry: &Mount, flags: MountFlags, data: &[&str], target: &Path) -> Result<(), Errno> {
    let context = fsopen(entry.r#type.as_str(), FsOpenFlags::FSOPEN_CLOEXEC)?;
    if !entry.source.is_empty() {
        fsconfig_set_string(&context, "source", entry.source.as_str())?;
    }
    for option in data {
        match option.split_once('=') {
            Some(("lowerdir", folders)) => {
                for folder in folders.split(':') {
                    fsconfig_set_string(&context, "lowerdir+", folder)?;
                }
            }
            Some((name, value)) => fsconfig_set_string(&context, name, value)?,
            None => fsconfig_set_flag(&context, *option)?,
        }
    }
    fsconfig_create(&context)?;
    let pairs = [
        (MountFlags::RDONLY, MountAttrFlags::MOUNT_ATTR_RDONLY),
        (MountFlags::NOSUID, MountAttrFlags::MOUNT_ATTR_NOSUID),
        (MountFlags::NODEV, MountAttrFlags::MOUNT_ATTR_NODEV),
        (MountFlags::NOEXEC, MountAttrFlags::MOUNT_ATTR_NOEXEC),
        (MountFlags::NOATIME, MountAttrFlags::MOUNT_ATTR_NOATIME),
    ];
    let wanted = pairs.into_iter().filter(|(flag, _)| flags.contains(*flag));
    let attributes = wanted.fold(MountAttrFlags::empty(), |sum, (_, attribute)| sum | attribute);
    let made = fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?;
    move_mount(&made, "", CWD, target, MoveMountFlags::MOVE_MOUNT_F_EMPTY_PATH)
}

fn split(options: &[String]) -> (MountFlags, Vec<&str>) {
    let mut flags = MountFlags::empty();
    let mut data = Vec::new();
    for option in options {
        match FLAGS.iter().find(|(word, ..)| word == option) {
            Some((_, flag, set)) => flags.set(*flag, *set),
            None => data.push(option.as_str()),
        }
    }
    (flags, data)
}

fn fault(what: &str, target: &Path) -> Fault {
    Fault::new(Layer::Shim, "rootfs", format!("{what} {}", target.display()))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_become_flags_and_the_rest_is_for_the_filesystem() {
        let options: Vec<String> = ["rbind", "ro", "rw", "nosuid", "lowerdir=/a:/b"].map(str::to_owned).into();
        let (flags, data) = split(&options);
        assert_eq!(flags, MountFlags::BIND | MountFlags::REC | MountFlags::NOSUID);
        assert_eq!(data, ["lowerdir=/a:/b"]);
    }
}
