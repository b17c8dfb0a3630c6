//! OCI runtimes side by side: ours and the peers, each called through the `runc` command line on the same bundle.

use crate::{Bundle, Output, Scratch, peers, run};
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

    /// A command with the state root of this runtime in `scratch`; arguments can follow. crun refuses a hybrid cgroup layout, so
    /// it gets a private mount namespace in which an empty folder hides the unified part.
    pub fn command(self, scratch: &Scratch) -> Command {
        let root = scratch.dir(&format!("root-{}", self.0));
        let hybrid = Path::new("/sys/fs/cgroup/unified");
        let mut command = if self.0 == "crun" && hybrid.is_dir() {
            let empty = scratch.dir("empty");
            let script = format!(
                "mount --make-rprivate / && mount --bind {} {} && exec \"$@\"",
                empty.display(),
                hybrid.display()
            );
            let mut command = scratch.command("unshare");
            command.args(["-m", "sh", "-c", &script, "sh"]).arg(self.program());
            command
        } else {
            scratch.command(self.program())
        };
        command.arg("--root").arg(root);
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
