//! Mounting what the daemon's snapshotter described on the bundle's `rootfs`, and taking it off again. Host paths from the
//! daemon, not from an image: nothing here runs inside a container.

use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::types::Mount;
use plimsoll_sys::mount::OPTIONS;
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use rustix::mount::{MountFlags, UnmountFlags, mount as classic, mount_remount, unmount as detach};
use std::ffi::CString;
use std::path::{Path, PathBuf};

/// The option of an overlay that grows with the image.
const LOWER: &str = "lowerdir=";

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

/// Mounts all of `mounts` in order below `target`, or none.
pub(crate) fn mount(mounts: &[Mount], target: &Path) -> Result<(), Fault> {
    if mounts.is_empty() {
        return Ok(());
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
    Ok(())
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
    let (flags, words) = split(&entry.options);
    let failed = |errno: Errno| {
        let what = format!("cannot mount {} ({}) on", entry.r#type, entry.source);
        let fault = fault(&what, &target).because(&errno);
        let fault = fault.syscall("mount", &target.to_string_lossy(), errno.raw_os_error());
        match errno {
            Errno::NOENT => fault.kind(Kind::NotFound),
            Errno::TOOBIG => fault.hint("the image has more layers than one mount can name"),
            _ => fault,
        }
    };
    let (data, folder) = data(&words).map_err(failed)?;
    let mount = || classic(entry.source.as_str(), &target, entry.r#type.as_str(), flags, data.as_c_str());
    match folder {
        None => mount().map_err(failed)?,
        Some(folder) => mount_in(&folder, mount).map_err(failed)?,
    }
    if flags.contains(MountFlags::BIND) && flags.intersects(!(MountFlags::BIND | MountFlags::REC)) {
        // The kernel ignores the other flags of a bind mount until it is remounted.
        mount_remount(&target, flags, c"").map_err(failed)?;
    }
    Ok(())
}

/// Options as one text, and the folder that they are relative to, if they are. An overlay of many layers has more text than
/// mount(2) takes: its lower folders are then named below the folder that they share, as containerd does it. (`lowerdir+`,
/// one layer at a time, needs Linux 6.8.)
fn data(options: &[&str]) -> Result<(CString, Option<PathBuf>), Errno> {
    let fits = |text: &String| text.len() <= OPTIONS;
    let text = |text: String| CString::new(text).map_err(|_| Errno::INVAL);
    let whole = options.join(",");
    if fits(&whole) {
        return Ok((text(whole)?, None));
    }
    let lower = options.iter().position(|option| option.starts_with(LOWER)).ok_or(Errno::TOOBIG)?;
    let folders: Vec<&Path> = options[lower][LOWER.len()..].split(':').map(Path::new).collect();
    let shared = shared(&folders).ok_or(Errno::TOOBIG)?;
    let names = folders.iter().filter_map(|folder| folder.strip_prefix(shared).ok()?.to_str());
    let names = format!("{LOWER}{}", names.collect::<Vec<_>>().join(":"));
    let mut options = options.to_vec();
    options[lower] = &names;
    let short = Some(options.join(",")).filter(fits).ok_or(Errno::TOOBIG)?;
    Ok((text(short)?, Some(shared.to_owned())))
}

/// The deepest folder that is above every one of `folders`.
fn shared<'p>(folders: &[&'p Path]) -> Option<&'p Path> {
    let (first, others) = folders.split_first()?;
    let above = |folder: &Path, path: &Path| folder != path && path.starts_with(folder);
    first.ancestors().skip(1).find(|folder| others.iter().all(|path| above(folder, path)))
}

/// mount(2) with `folder` as the working directory, which the worker has for itself. A worker that cannot go back must not
/// go on.
fn mount_in(folder: &Path, mount: impl FnOnce() -> Result<(), Errno>) -> Result<(), Errno> {
    let flags = OFlags::PATH | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let before = rustix::fs::open(".", flags, Mode::empty())?;
    rustix::process::chdir(folder)?;
    let outcome = mount();
    rustix::process::fchdir(before)?;
    outcome
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

    fn overlay(folder: &str, layers: usize) -> Vec<String> {
        let lower: Vec<String> = (0..layers).map(|n| format!("{folder}/{}/fs", 100_000 + n)).collect();
        vec![format!("upperdir={folder}/9/fs"), format!("lowerdir={}", lower.join(":"))]
    }

    #[test]
    fn many_layers_are_named_below_the_folder_that_they_share() {
        let folder = "/var/lib/plimsoll/snapshots/overlayfs";
        let made = |options: &[String]| data(&options.iter().map(String::as_str).collect::<Vec<_>>());
        let few = overlay(folder, 6);
        let (text, shared) = made(&few).expect("few");
        assert_eq!((text.to_string_lossy().into_owned(), shared), (few.join(","), None));
        let (text, shared) = made(&overlay(folder, 130)).expect("many");
        assert_eq!(shared.as_deref(), Some(Path::new(folder)));
        let text = text.to_string_lossy();
        assert!(text.starts_with(&format!("upperdir={folder}/9/fs,lowerdir=100000/fs:100001/fs:")), "{text}");
        assert_eq!((text.split(':').count(), text.len() <= OPTIONS), (130, true));
        assert_eq!(made(&overlay(folder, 1000)).err(), Some(Errno::TOOBIG));
        let far = format!("/srv/{}", "x".repeat(100));
        let mut two = overlay(&format!("{far}/one"), 80);
        two[1] = format!("{}:{far}/two/1/fs", two[1]);
        let (text, shared) = made(&two).expect("two stores");
        assert_eq!(shared.as_deref(), Some(Path::new(&far)));
        assert!(text.to_string_lossy().ends_with(":one/100079/fs:two/1/fs"), "{text:?}");
        assert_eq!(made(&[format!("data={}", "x".repeat(5000))]).err(), Some(Errno::TOOBIG));
    }
}
