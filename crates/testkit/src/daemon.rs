//! A private plimsolld, or a containerd in its place, with its own root, state, socket, config and CNI network.

use crate::wait::LIMIT;
use crate::{Scratch, bin, peers};
use std::fs;
use std::os::unix::net::UnixStream;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// A daemon that can be killed and started again; stopped when dropped.
#[derive(Debug)]
pub struct Daemon {
    pub root: PathBuf,
    pub state: PathBuf,
    pub socket: PathBuf,
    pub config: PathBuf,
    log: PathBuf,
    command: Command,
    child: Option<Child>,
}

impl Daemon {
    /// Starts one in the scratch with the config text that `config` gives for the folders in it.
    ///
    /// # Panics
    /// When it does not listen in a minute, with the end of its log.
    pub fn start(scratch: &Scratch, config: &str) -> Daemon {
        let (root, state) = (scratch.dir("root"), scratch.dir("state"));
        let (config, socket) = (scratch.file("plimsolld.toml", config), scratch.join("d.sock"));
        let mut command = scratch.command(bin("plimsolld"));
        command.arg("--config").arg(&config).arg("--root").arg(&root).arg("--state").arg(&state);
        command.arg("--socket").arg(&socket);
        Daemon::run(scratch, command, config)
    }

    /// Another daemon that serves CRI at `d.sock` and keeps its things in `root` and `state` of the scratch, as its `config` says.
    ///
    /// # Panics
    /// As [`Daemon::start`].
    pub fn run(scratch: &Scratch, command: Command, config: PathBuf) -> Daemon {
        let (root, state) = (scratch.dir("root"), scratch.dir("state"));
        let (socket, log) = (scratch.join("d.sock"), scratch.join("plimsolld.log"));
        let mut daemon = Daemon { root, state, socket, config, log, command, child: None };
        daemon.start_again();
        daemon
    }

    /// Starts it (again) on the same folders.
    ///
    /// # Panics
    /// As [`Daemon::start`].
    pub fn start_again(&mut self) {
        let log = fs::File::options().create(true).append(true).open(&self.log).expect("log file");
        let command = self.command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(log);
        self.child = Some(command.spawn().expect("start the daemon"));
        self.wait_until_it_listens();
    }

    fn wait_until_it_listens(&mut self) {
        let until = Instant::now() + LIMIT;
        while UnixStream::connect(&self.socket).is_err() {
            let ended = self.child.as_mut().and_then(|c| c.try_wait().ok().flatten());
            assert!(
                ended.is_none() && Instant::now() < until,
                "plimsolld does not listen ({ended:?}):\n{}",
                self.log_tail()
            );
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// SIGKILL, and waits for its end.
    ///
    /// # Panics
    /// When it does not run.
    pub fn kill_9(&mut self) {
        let mut child = self.child.take().expect("plimsolld runs");
        child.kill().expect("kill -9 plimsolld");
        child.wait().expect("wait for plimsolld");
    }

    /// SIGTERM, and waits for its end (a minute, then SIGKILL). The exit code, or none when it had to be killed or did not run.
    pub fn stop(&mut self) -> Option<i32> {
        let mut child = self.child.take()?;
        let pid = rustix::process::Pid::from_child(&child);
        if rustix::process::kill_process(pid, rustix::process::Signal::TERM).is_err() {
            // It ended by itself; the loop below collects it.
        }
        let until = Instant::now() + LIMIT;
        while Instant::now() < until {
            if let Ok(Some(status)) = child.try_wait() {
                return status.code();
            }
            std::thread::sleep(Duration::from_millis(5));
        }
        drop(child.kill());
        drop(child.wait());
        None
    }

    pub fn pid(&self) -> Option<u32> {
        self.child.as_ref().map(Child::id)
    }

    /// `unix://…` for crictl and plim.
    pub fn endpoint(&self) -> String {
        format!("unix://{}", self.socket.display())
    }

    /// The real crictl, pointed at this daemon.
    ///
    /// # Panics
    /// When crictl is not here.
    pub fn crictl(&self, args: &[&str]) -> Command {
        let mut command = Command::new(peers::need("crictl"));
        // A config file of the machine must not steer the test.
        command.args([
            "--config",
            "/dev/null",
            "--runtime-endpoint",
            &self.endpoint(),
            "--image-endpoint",
            &self.endpoint(),
        ]);
        command.args(["--timeout", "60s"]).args(args);
        command
    }

    /// Our plim, pointed at this daemon.
    ///
    /// # Panics
    /// When plim is not built.
    pub fn plim(&self, args: &[&str]) -> Command {
        let mut command = Command::new(bin("plim"));
        command.args(["--endpoint", &self.endpoint()]).args(args);
        command
    }

    /// The last lines of its log.
    pub fn log_tail(&self) -> String {
        let text = fs::read_to_string(&self.log).unwrap_or_default();
        let lines: Vec<&str> = text.lines().collect();
        lines[lines.len().saturating_sub(40)..].join("\n")
    }
}

impl Drop for Daemon {
    fn drop(&mut self) {
        self.stop();
    }
}

/// Writes a CNI conflist (bridge with host-local addresses, loopback only traffic) into a new folder of the scratch and
/// returns the folder. `bridge` is the link's name (at most 15 bytes), `subnet` e.g. `10.199.7.0/24`.
///
/// # Panics
/// When it cannot be written.
pub fn cni_conf(scratch: &Scratch, bridge: &str, subnet: &str) -> PathBuf {
    let data = scratch.dir("cni-data");
    let list = serde_json::json!({
        "cniVersion": "1.0.0",
        "name": bridge,
        "plugins": [{
            "type": "bridge", "bridge": bridge, "isGateway": true, "ipMasq": false, "hairpinMode": true,
            "ipam": { "type": "host-local", "dataDir": data, "ranges": [[{ "subnet": subnet }]], "routes": [{ "dst": "0.0.0.0/0" }] }
        }]
    });
    let dir = scratch.dir("cni-conf");
    write_json(&dir.join("10-plim.conflist"), &list);
    dir
}

fn write_json(path: &Path, value: &serde_json::Value) {
    fs::write(path, value.to_string()).unwrap_or_else(|e| panic!("{}: {e}", path.display()));
}
