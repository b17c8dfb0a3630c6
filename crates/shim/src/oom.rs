//! The memory cgroup of a container: who is in it, and whether the kernel killed there for lack of memory.

use rustix::event::EventfdFlags;
use std::fs::{self, File};
use std::io;
use std::os::fd::{AsFd, AsRawFd, BorrowedFd, OwnedFd};
use std::os::unix::fs::FileExt;
use std::path::{Path, PathBuf};

/// Cgroups below a container's own that are looked at; more is an attack on the shim's time.
const DEPTH: usize = 8;

#[derive(Clone, Debug)]
pub(crate) struct Cgroup {
    folder: PathBuf,
    unified: bool,
}

/// The memory cgroup that process `pid` is in; `None` when there is no memory controller, or the process has gone.
pub(crate) fn cgroup_of(pid: i32) -> Option<Cgroup> {
    let membership = fs::read_to_string(format!("/proc/{pid}/cgroup")).ok()?;
    let mounts = fs::read_to_string("/proc/self/mountinfo").ok()?;
    find(&membership, &mounts)
}

fn find(membership: &str, mounts: &str) -> Option<Cgroup> {
    let mut unified = None;
    for line in membership.lines() {
        let mut parts = line.splitn(3, ':').skip(1);
        let (controllers, path) = (parts.next()?, parts.next()?);
        if controllers.split(',').any(|name| name == "memory") {
            let folder =
                below(mounts, path, |kind, options| kind == "cgroup" && options.split(',').any(|o| o == "memory"));
            return Some(Cgroup { folder: folder?, unified: false });
        }
        if controllers.is_empty() {
            unified = below(mounts, path, |kind, _| kind == "cgroup2");
        }
    }
    Some(Cgroup { folder: unified?, unified: true })
}

/// Where the hierarchy that `wanted` picks is mounted, with `path` within it.
fn below(mounts: &str, path: &str, wanted: impl Fn(&str, &str) -> bool) -> Option<PathBuf> {
    for line in mounts.lines() {
        let (front, back) = line.split_once(" - ")?;
        let mut back = back.split(' ');
        let (kind, options) = (back.next()?, back.nth(1)?);
        if !wanted(kind, options) {
            continue;
        }
        let mut front = front.split(' ').skip(3);
        let (root, target) = (front.next()?, front.next()?);
        let within = Path::new(path).strip_prefix(root).ok()?;
        return Some(Path::new(target).join(within));
    }
    None
}

/// How often the kernel has killed there (Linux 4.13 for v1).
pub(crate) fn kills(cgroup: &Cgroup) -> u64 {
    let file = if cgroup.unified { "memory.events" } else { "memory.oom_control" };
    let text = fs::read_to_string(cgroup.folder.join(file)).unwrap_or_default();
    text.lines().find_map(|line| line.strip_prefix("oom_kill ")).and_then(|n| n.trim().parse().ok()).unwrap_or(0)
}

/// Every process of the cgroup and of those below it.
pub(crate) fn pids(cgroup: &Cgroup) -> Vec<u32> {
    let mut pids = Vec::new();
    collect(&cgroup.folder, DEPTH, &mut pids);
    pids
}

fn collect(folder: &Path, depth: usize, pids: &mut Vec<u32>) {
    // A cgroup that went away meanwhile has no processes.
    let text = fs::read_to_string(folder.join("cgroup.procs")).unwrap_or_default();
    pids.extend(text.lines().filter_map(|line| line.parse::<u32>().ok()));
    if depth == 0 {
        return;
    }
    for entry in fs::read_dir(folder).into_iter().flatten().flatten() {
        if entry.file_type().is_ok_and(|kind| kind.is_dir()) {
            collect(&entry.path(), depth - 1, pids);
        }
    }
}

/// Becomes ready when the kernel runs out of memory in a cgroup.
#[derive(Debug)]
pub(crate) struct OomWatch {
    pub(crate) id: u32,
    fd: OwnedFd,
    unified: bool,
    seen: u64,
}

impl OomWatch {
    pub(crate) fn new(cgroup: &Cgroup, id: u32) -> io::Result<Self> {
        let fd = if cgroup.unified {
            // kernfs wakes a poller of the file itself with each change.
            OwnedFd::from(File::open(cgroup.folder.join("memory.events"))?)
        } else {
            let control = File::open(cgroup.folder.join("memory.oom_control"))?;
            let event = rustix::event::eventfd(0, EventfdFlags::CLOEXEC | EventfdFlags::NONBLOCK)?;
            let line = format!("{} {}", event.as_raw_fd(), control.as_raw_fd());
            fs::write(cgroup.folder.join("cgroup.event_control"), line)?;
            event
        };
        Ok(Self { id, fd, unified: cgroup.unified, seen: 0 })
    }

    pub(crate) fn fd(&self) -> BorrowedFd<'_> {
        self.fd.as_fd()
    }

    /// A cgroup file announces itself by EPOLLPRI, an eventfd by EPOLLIN.
    pub(crate) fn by_priority(&self) -> bool {
        self.unified
    }

    /// Quietens the fd; true when there was a kill since the last call.
    pub(crate) fn killed_since_last(&mut self, cgroup: Option<&Cgroup>) -> bool {
        let mut text = [0; 256];
        let quiet = if self.unified {
            self.fd.try_clone().map(File::from).and_then(|file| file.read_at(&mut text, 0))
        } else {
            rustix::io::read(&self.fd, &mut text[..8]).map_err(io::Error::from)
        };
        let now = cgroup.filter(|_| quiet.is_ok()).map_or(0, kills);
        let more = now > self.seen;
        self.seen = self.seen.max(now);
        more
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const V1: &str = "33 24 0:30 / /sys/fs/cgroup/memory rw,nosuid - cgroup cgroup rw,memory\n\
                      25 24 0:23 / /sys/fs/cgroup/unified rw,nosuid - cgroup2 cgroup2 rw\n";

    #[test]
    fn the_memory_controller_wins_over_the_unified_part_of_a_hybrid_host() {
        let found = find("8:memory:/pod/a\n0::/pod/a\n", V1).expect("found");
        assert_eq!((found.folder.as_path(), found.unified), (Path::new("/sys/fs/cgroup/memory/pod/a"), false));
        let v2 = "25 24 0:23 /outer /sys/fs/cgroup rw - cgroup2 cgroup2 rw\n";
        let found = find("0::/outer/pod\n", v2).expect("found");
        assert_eq!((found.folder.as_path(), found.unified), (Path::new("/sys/fs/cgroup/pod"), true));
        assert!(find("0::/elsewhere\n", v2).is_none());
    }
}
