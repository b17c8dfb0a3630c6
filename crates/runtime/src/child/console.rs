//! The container's terminal: made in its own devpts, sent to whoever asked, shown at `/dev/console`.

use crate::Stdio;
use crate::fault::At;
use crate::plan::ProcessPlan;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::root::RootDir;
use plimsoll_sys::{message, mount, pty};
use rustix::fs::{Gid, Uid};
use rustix::termios::Winsize;
use std::os::fd::{AsFd, OwnedFd};
use std::path::Path;

/// The slave, to become 0, 1 and 2.
#[derive(Debug)]
pub(super) struct Console {
    slave: OwnedFd,
}

/// For a process with a terminal; `root` is the container's root, already mounted.
pub(super) fn make(root: &RootDir, process: &ProcessPlan, stdio: &Stdio) -> Result<Option<Console>, Fault> {
    let console = open(root, process, stdio)?;
    if let Some(console) = &console {
        show(root, console)?;
    }
    Ok(console)
}

/// As [`make`], without `/dev/console`: for exec.
pub(super) fn open(root: &RootDir, process: &ProcessPlan, stdio: &Stdio) -> Result<Option<Console>, Fault> {
    let Stdio::Console { socket, size } = stdio else { return Ok(None) };
    let what = || "cannot make the container's terminal".to_owned();
    let path = Path::new("/dev/pts");
    let devpts = root.find(path).at("console", "openat2", path, what)?;
    let made = pty::open(&devpts).map_err(|error| {
        let fault = Fault::new(Layer::OciRuntime, "console", what()).kind(Kind::FailedPrecondition);
        let fault = crate::fault::Os::os(fault, "open", "/dev/pts/ptmx", &error.into());
        fault.hint("a terminal needs a devpts mount at /dev/pts")
    })?;
    if let Some(size) = size.or(process.console_size) {
        let size = Winsize { ws_row: size.height, ws_col: size.width, ws_xpixel: 0, ws_ypixel: 0 };
        rustix::termios::tcsetwinsize(&made.slave, size).at("console", "ioctl", "TIOCSWINSZ", what)?;
    }
    if process.uid != 0 {
        let owner = Uid::from_raw(process.uid);
        rustix::fs::fchown(&made.slave, Some(owner), None::<Gid>).at("console", "fchown", path, what)?;
    }
    let name = format!("/dev/pts/{}", made.number);
    message::send_fd(socket, name.as_bytes(), made.master.as_fd())
        .at("console", "sendmsg", "", || "cannot send the terminal to the console socket".into())?;
    Ok(Some(Console { slave: made.slave }))
}

/// Binds the slave itself, by descriptor, over `/dev/console` (CVE-2025-52565: by name it could be swapped).
fn show(root: &RootDir, console: &Console) -> Result<(), Fault> {
    let path = Path::new("/dev/console");
    let what = || "cannot show the terminal at /dev/console".to_owned();
    let target = root.make_file(path).at("console", "openat2", path, what)?;
    let copy = mount::clone_fd(&console.slave, false).at("console", "open_tree", path, what)?;
    mount::attach(&copy, &target).at("console", "move_mount", path, what)
}

impl Console {
    /// Becomes the controlling terminal and 0, 1, 2.
    pub(super) fn install(self) -> Result<(), Fault> {
        let what = || "cannot take the terminal".to_owned();
        rustix::process::ioctl_tiocsctty(&self.slave).at("console", "ioctl", "TIOCSCTTY", what)?;
        rustix::stdio::dup2_stdin(&self.slave).at("console", "dup2", "0", what)?;
        rustix::stdio::dup2_stdout(&self.slave).at("console", "dup2", "1", what)?;
        rustix::stdio::dup2_stderr(&self.slave).at("console", "dup2", "2", what)
    }
}
