//! The cgroup layout that the contenders see, and a place for their state that is a tmpfs as `/run` is.

use crate::Scratch;
use std::process::{Command, Stdio};

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Layout {
    /// What the machine has, without its unified part, which crun refuses.
    V1,
    /// A cgroup2 mount alone, with the few controllers that v1 leaves it.
    V2,
}

impl Layout {
    pub fn name(self) -> &'static str {
        match self {
            Layout::V1 => "v1",
            Layout::V2 => "v2",
        }
    }

    pub fn named(name: &str) -> Option<Layout> {
        [Layout::V1, Layout::V2].into_iter().find(|layout| layout.name() == name)
    }

    /// Shell commands that make the layout, and the folder for states, in a private mount namespace.
    fn script(self, scratch: &Scratch) -> String {
        let change = match self {
            Layout::V1 => format!("mount --bind {} /sys/fs/cgroup/unified", scratch.dir("empty").display()),
            Layout::V2 => "mount -t cgroup2 cgroup2 /sys/fs/cgroup".to_owned(),
        };
        let state = scratch.dir("state");
        format!(
            "mount --make-rprivate / && {change} && mount -t tmpfs -o mode=700 tmpfs {} && exec \"$@\"",
            state.display()
        )
    }
}

/// Runs this program again with `args` and the scratch's folder, in a mount namespace that has the layout to itself; gives
/// what it printed.
///
/// # Errors
/// What kept it from ending well.
pub fn inside(layout: Layout, scratch: &Scratch, args: &[&str]) -> Result<Vec<u8>, String> {
    let own = std::env::current_exe().map_err(|error| error.to_string())?;
    let mut command: Command = scratch.command("unshare");
    command.args(["-m", "sh", "-c", &layout.script(scratch), "sh"]).arg(own);
    command.args(args).arg(scratch.join("state")).stderr(Stdio::inherit());
    let output = command.output().map_err(|error| error.to_string())?;
    if output.status.success() {
        Ok(output.stdout)
    } else {
        Err(format!("layout {}: {}", layout.name(), output.status))
    }
}
