//! A place of its own for one test: everything made in it is put away when it is dropped, whatever happened.

use crate::wait::LIMIT;
use crate::{leak, none_left};
use rustix::mount::{UnmountFlags, unmount};
use rustix::process::{Pid, Signal, kill_process};
use std::fs;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::process::{Child, Command};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

/// Set in the environment of every process started through a [`Scratch`], so that it can be told from all others.
pub const MARKER: &str = "PLIMSOLL_TEST";

/// A folder `/tmp/plim-<pid>-<n>t` (short: socket paths end at 108 bytes, 0700) with a cgroup prefix and a process marker.
/// Dropping it ends the processes that carry its marker or sit in its cgroups, unmounts what is below its folder, removes its
/// cgroups, the network namespaces of its pods and the folder. `PLIMSOLL_KEEP=1` keeps the folder's files.
#[derive(Debug)]
pub struct Scratch {
    path: PathBuf,
    name: String,
    children: Vec<Child>,
}

impl Scratch {
    /// # Panics
    /// When the folder cannot be made.
    #[allow(clippy::new_without_default)]
    pub fn new() -> Scratch {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        // No name may begin another one: what is put away is found by it. The letter tells 1 from 11.
        let name = format!("{}-{}t", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        let path = PathBuf::from(format!("/tmp/plim-{name}"));
        fs::DirBuilder::new().mode(0o700).create(&path).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
        Scratch { path, name, children: Vec::new() }
    }

    pub fn path(&self) -> &Path {
        &self.path
    }

    /// A path below the folder; nothing is made.
    pub fn join(&self, name: impl AsRef<Path>) -> PathBuf {
        self.path.join(name)
    }

    /// A folder (0700) below the folder, made if need be.
    ///
    /// # Panics
    /// When it cannot be made.
    pub fn dir(&self, name: &str) -> PathBuf {
        let path = self.join(name);
        fs::DirBuilder::new().recursive(true).mode(0o700).create(&path).unwrap_or_else(|e| panic!("{name}: {e}"));
        path
    }

    /// A file below the folder.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn file(&self, name: &str, content: impl AsRef<[u8]>) -> PathBuf {
        let path = self.join(name);
        fs::write(&path, content).unwrap_or_else(|e| panic!("{name}: {e}"));
        path
    }

    /// An executable file below the folder: a shell script with these lines.
    ///
    /// # Panics
    /// When it cannot be written.
    pub fn script(&self, name: &str, lines: &str) -> PathBuf {
        let path = self.file(name, format!("#!/bin/sh\n{lines}\n"));
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).unwrap_or_else(|e| panic!("{name}: {e}"));
        path
    }

    /// The first part of the name of every cgroup that this test makes, e.g. `plimsoll-test-4711-0t`. Use it as
    /// `cgroupsPath` `/<prefix>` or `/<prefix>/<id>`.
    pub fn cgroup_prefix(&self) -> String {
        format!("plimsoll-test-{}", self.name)
    }

    /// A container or pod id that no other test has.
    pub fn id(&self, what: &str) -> String {
        format!("{what}-{}", self.name)
    }

    /// A command that carries the marker: it and what it leaves running end with the scratch.
    pub fn command(&self, program: impl AsRef<Path>) -> Command {
        let mut command = Command::new(program.as_ref());
        command.env(MARKER, &self.name).env_remove("PLIMSOLL_KEEP");
        command
    }

    /// Starts a program that runs in the background until the scratch is dropped.
    ///
    /// # Panics
    /// When it cannot be started.
    pub fn spawn(&mut self, command: &mut Command) -> &mut Child {
        let child = command.spawn().unwrap_or_else(|e| panic!("{command:?}: {e}"));
        self.children.push(child);
        self.children.last_mut().expect("just pushed")
    }

    /// The program that [`Scratch::spawn`] started last.
    ///
    /// # Panics
    /// When there is none.
    pub fn last_child(&mut self) -> &mut Child {
        self.children.last_mut().expect("spawn was called before")
    }

    /// What carries this test's names and is still there: mounts below its folder, its cgroups, its processes.
    pub fn leftovers(&self) -> Vec<String> {
        let mounts = self.mounts().into_iter().map(|m| format!("mount {m}"));
        let cgroups = leak::cgroups_with(&self.cgroup_prefix()).into_iter().map(|c| format!("cgroup {c}"));
        let lines: Vec<(i32, String)> = leak::all_processes().collect();
        let processes = lines.into_iter().filter(|(pid, _)| self.owns(*pid)).map(|(p, l)| format!("process {p} {l}"));
        mounts.chain(cgroups).chain(processes).collect()
    }

    /// What does not go away: a process may close its connections a moment before it is gone.
    pub fn lasting(&self) -> Vec<String> {
        none_left(|| self.leftovers())
    }

    fn mounts(&self) -> Vec<String> {
        let below = format!("{}/", self.path.display());
        leak::mounts_with(|p| p.starts_with(&below))
    }

    /// The pinned network namespaces of the pods whose folders are in a daemon's state folder below this one.
    fn network_namespaces(&self) -> Vec<PathBuf> {
        let names = |dir: PathBuf| fs::read_dir(dir).into_iter().flatten().flatten().map(|entry| entry.path());
        let pods = names(self.path.clone()).flat_map(|dir| names(dir.join("sandboxes"))).flat_map(names);
        let ids: Vec<String> = pods.filter_map(|pod| Some(pod.file_name()?.to_str()?.to_owned())).collect();
        let pinned = names(PathBuf::from("/run/netns")).filter(|path| {
            let short = path.file_name().and_then(|name| name.to_str()).and_then(|name| name.strip_prefix("plim-"));
            short.is_some_and(|short| ids.iter().any(|id| id.starts_with(short)))
        });
        pinned.collect()
    }

    /// Whether a process carries this test's marker or sits in its cgroups.
    pub fn owns(&self, pid: i32) -> bool {
        let marker = format!("{MARKER}={}", self.name);
        let environment = fs::read(format!("/proc/{pid}/environ")).unwrap_or_default();
        let marked = environment.split(|b| *b == 0).any(|v| v == marker.as_bytes());
        let dead = fs::read_to_string(format!("/proc/{pid}/stat")).is_ok_and(|s| s.contains(") Z "));
        let groups = fs::read_to_string(format!("/proc/{pid}/cgroup")).unwrap_or_default();
        !dead && (marked || groups.contains(&format!("/{}", self.cgroup_prefix())))
    }

    fn end_processes(&mut self) {
        for child in &mut self.children {
            report("kill", child.kill());
            report("wait", child.wait().map(drop));
        }
        let until = Instant::now() + LIMIT;
        loop {
            let ours: Vec<i32> = leak::all_processes().map(|(p, _)| p).filter(|p| self.owns(*p)).collect();
            if ours.is_empty() || Instant::now() > until {
                return;
            }
            for pid in ours.into_iter().filter_map(Pid::from_raw) {
                if kill_process(pid, Signal::KILL).is_err() {
                    // ESRCH: it ended by itself in between; the next round shows what is left.
                }
            }
            std::thread::sleep(Duration::from_millis(10));
        }
    }
}

impl Drop for Scratch {
    fn drop(&mut self) {
        let prefix = self.cgroup_prefix();
        for cgroup in leak::cgroups_with(&prefix) {
            // A frozen process cannot die.
            drop(fs::write(format!("{cgroup}/freezer.state"), "THAWED"));
        }
        self.end_processes();
        // The innermost first: a detached mount takes those below it along.
        for mount in self.mounts().into_iter().rev() {
            report(&mount, unmount(mount.as_str(), UnmountFlags::DETACH).map_err(Into::into));
        }
        for cgroup in leak::cgroups_with(&prefix) {
            report(&cgroup, fs::remove_dir(&cgroup));
        }
        for namespace in self.network_namespaces() {
            report("netns", unmount(&namespace, UnmountFlags::DETACH).map_err(Into::into));
            report("netns", fs::remove_file(&namespace));
        }
        if std::env::var_os("PLIMSOLL_KEEP").is_none() && self.mounts().is_empty() {
            report("folder", fs::remove_dir_all(&self.path));
        }
    }
}

fn report(what: &str, result: std::io::Result<()>) {
    if let Err(error) = result
        && error.kind() != std::io::ErrorKind::NotFound
    {
        use std::io::Write;
        // Stderr itself is the last resort.
        drop(writeln!(std::io::stderr(), "scratch: {what}: {error}"));
    }
}
