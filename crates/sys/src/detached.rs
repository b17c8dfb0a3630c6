//! Read-only looks into a root filesystem that is mounted nowhere: the mount exists only as a file descriptor and goes
//! with it. Paths inside are attacker-controlled and are resolved by the kernel below that root.

use rustix::fs::{CWD, FileType, Mode, OFlags, ResolveFlags};
use rustix::mount::{
    FsMountFlags, FsOpenFlags, MountAttrFlags, fsconfig_create, fsconfig_set_flag, fsconfig_set_string, fsmount, fsopen,
};
use std::io::{self, Read};
use std::os::fd::{BorrowedFd, OwnedFd};
use std::path::Path;

/// An overlay of folders, topmost first, or the folder itself when there is one. Never writable.
pub fn overlay(layers: &[&Path]) -> io::Result<OwnedFd> {
    if let [only] = layers {
        return Ok(rustix::fs::openat(CWD, *only, OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC, Mode::empty())?);
    }
    let context = fsopen("overlay", FsOpenFlags::FSOPEN_CLOEXEC)?;
    fsconfig_set_flag(&context, "ro")?;
    let joined: Vec<String> = layers.iter().map(|layer| layer.to_string_lossy().into_owned()).collect();
    let joined = joined.join(":");
    // fsconfig takes at most 255 bytes a value; from Linux 6.8 on each layer may be given by itself.
    if joined.len() < 256 {
        fsconfig_set_string(&context, "lowerdir", &joined)?;
    } else {
        for layer in layers {
            fsconfig_set_string(&context, "lowerdir+", *layer)?;
        }
    }
    fsconfig_create(&context)?;
    let attributes = MountAttrFlags::MOUNT_ATTR_RDONLY | MountAttrFlags::MOUNT_ATTR_NODEV;
    Ok(fsmount(&context, FsMountFlags::FSMOUNT_CLOEXEC, attributes)?)
}

/// The content of a regular file below `root`, at most `limit` bytes. `None` when it is not there. A file that is larger,
/// or that is no regular file (a FIFO would block, a device could never end; CVE-2026-47262), is an error.
pub fn read_file(root: BorrowedFd<'_>, path: &str, limit: u64) -> io::Result<Option<Vec<u8>>> {
    let flags = OFlags::RDONLY | OFlags::NONBLOCK | OFlags::NOCTTY | OFlags::CLOEXEC;
    let resolve = ResolveFlags::IN_ROOT | ResolveFlags::NO_MAGICLINKS;
    let file = match rustix::fs::openat2(root, path, flags, Mode::empty(), resolve) {
        Ok(file) => std::fs::File::from(file),
        Err(rustix::io::Errno::NOENT | rustix::io::Errno::NOTDIR) => return Ok(None),
        Err(errno) => return Err(errno.into()),
    };
    let stat = rustix::fs::fstat(&file)?;
    if FileType::from_raw_mode(stat.st_mode) != FileType::RegularFile {
        return Err(io::Error::new(io::ErrorKind::InvalidData, "it is no regular file"));
    }
    let mut content = Vec::new();
    file.take(limit + 1).read_to_end(&mut content)?;
    if content.len() as u64 > limit {
        return Err(io::Error::new(io::ErrorKind::FileTooLarge, format!("it is larger than {limit} bytes")));
    }
    Ok(Some(content))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::os::fd::AsFd;

    #[test]
    fn links_stay_inside_and_odd_files_are_refused() {
        let dir = std::env::temp_dir().join(format!("plim-detached-{}", std::process::id()));
        let etc = dir.join("etc");
        std::fs::create_dir_all(&etc).expect("mkdir");
        std::fs::write(etc.join("real"), "inside").expect("write");
        std::os::unix::fs::symlink("/etc/real", etc.join("passwd")).expect("symlink");
        std::os::unix::fs::symlink("/dev/zero", etc.join("group")).expect("symlink");
        rustix::fs::mknodat(CWD, etc.join("fifo"), FileType::Fifo, Mode::RUSR, 0).expect("mkfifo");
        let root = overlay(&[&dir]).expect("opens");
        let read = |path: &str, limit| read_file(root.as_fd(), path, limit);
        assert_eq!(read("etc/passwd", 100).expect("reads"), Some(b"inside".to_vec()));
        assert_eq!(read("etc/group", 100).expect("dangling below the root"), None);
        assert_eq!(read("etc/none", 100).expect("missing"), None);
        read("etc/fifo", 100).expect_err("fifo");
        read("etc/passwd", 3).expect_err("too large");
        std::fs::remove_dir_all(&dir).expect("cleanup");
    }
}
