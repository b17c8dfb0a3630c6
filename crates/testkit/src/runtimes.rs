//! OCI runtimes side by side: ours and the peers, each called through the `runc` command line on the same bundle.

use crate::{Bundle, Output, Scratch, peers, run};
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

/// An OCI runtime by its name: `plimrun`, `runc`, `crun`.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Runtime(pub &'static str);

/// Ours first. `PLIMSOLL_PEERS_ONLY=1` leaves ours out, to prove a test on the peers.
pub fn runtimes() -> Vec<Runtime> {
    let ours = std::env::var_os("PLIMSOLL_PEERS_ONLY").is_none().then_some(Runtime("plimrun"));
    ours.into_iter().chain([Runtime("runc"), Runtime("crun")]).collect()
}

impl Runtime {
    /// The program's path.
    ///
    /// # Panics
    /// When it is not there, saying how to get it.
    #[track_caller]
    pub fn program(self) -> PathBuf {
        if self.0 == "plimrun" { crate::bin(self.0) } else { peers::need(self.0) }
    }

    /// A program that is this runtime, for callers that are given a path. crun refuses a hybrid cgroup layout, so it gets a private
    /// mount namespace in which an empty folder hides the unified part. runsc gets what it needs where no virtual machine can be
    /// had, and leaves network and cgroups alone.
    ///
    /// # Panics
    /// When it is not there, or the script that calls it cannot be written.
    #[track_caller]
    pub fn as_program(self, scratch: &Scratch) -> PathBuf {
        let (hybrid, program) = (Path::new("/sys/fs/cgroup/unified"), self.program());
        let script = match self.0 {
            "crun" if hybrid.is_dir() => format!(
                "exec unshare -m sh -c 'mount --make-rprivate / && mount --bind {} {} && exec \"$@\"' sh {} \"$@\"",
                scratch.dir("empty").display(),
                hybrid.display(),
                program.display(),
            ),
            "runsc" => {
                format!("exec {} --platform=ptrace --network=none --ignore-cgroups \"$@\"", program.display())
            }
            _ => return program,
        };
        let path = scratch.dir("programs").join(self.0);
        if !path.exists() {
            // Written beside it first: another thread may be about to run it.
            let new = scratch
                .file(&format!("{}-{:?}", self.0, std::thread::current().id()), format!("#!/bin/sh\n{script}\n"));
            std::fs::set_permissions(&new, std::fs::Permissions::from_mode(0o755)).expect("chmod");
            std::fs::rename(&new, &path).expect("rename");
        }
        path
    }

    /// A command with the state root of this runtime in `scratch`; arguments can follow.
    pub fn command(self, scratch: &Scratch) -> Command {
        let mut command = scratch.command(self.as_program(scratch));
        command.arg("--root").arg(scratch.dir(&format!("root-{}", self.0)));
        command
    }

    /// `run` of the bundle to its end. runc does it again when it lost its own race ([`lost_sight`]).
    ///
    /// # Panics
    /// When the runtime cannot be started or hangs.
    #[track_caller]
    pub fn run(self, scratch: &Scratch, bundle: &Bundle) -> Output {
        let once = || run(self.command(scratch).arg("run").arg("--bundle").arg(&bundle.path).arg(scratch.id(self.0)));
        let mut output = once();
        for _ in 0..4 {
            if self.0 != "runc" || !lost_sight(&output.stderr) {
                break;
            }
            output = once();
        }
        output
    }
}

/// On a busy machine runc takes it for a failure when the process has ended before it has looked, and loses a message of its
/// own init.
pub fn lost_sight(stderr: &str) -> bool {
    ["container process is already dead", "procReady not received"].iter().any(|loss| stderr.contains(loss))
}
