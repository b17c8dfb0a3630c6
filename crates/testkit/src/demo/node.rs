//! The demo's own node: a distribution registry with two images, and a private daemon with its own folders and bridge.

use super::lines::Lines;
use crate::{Daemon, Output, Registry, Scratch, daemon, images, peers, run};
use std::path::Path;
use std::process::Command;

/// Fields drop in order: the daemon before what it uses.
#[derive(Debug)]
pub(super) struct DemoNode {
    pub(super) daemon: Daemon,
    pub(super) registry: Registry,
    pub(super) web: String,
    pub(super) busybox: String,
    pub(super) has_crictl: bool,
    bridge: Bridge,
    pub(super) scratch: Scratch,
}

/// The link that the bridge plugin makes and never removes.
#[derive(Debug)]
struct Bridge(String);

impl Drop for Bridge {
    fn drop(&mut self) {
        if Path::new("/sys/class/net").join(&self.0).exists() {
            run(Command::new("ip").args(["link", "del", &self.0]));
        }
    }
}

impl DemoNode {
    pub(super) fn start(lines: &mut Lines) -> DemoNode {
        let scratch = Scratch::new();
        let registry = Registry::start(&scratch);
        let web = images::nginx().push(&registry, "demo/web:1");
        let busybox = images::busybox().push(&registry, "demo/busybox:1");
        lines.say(
            "registry",
            format!("distribution on {}; skopeo pushed demo/web:1 and demo/busybox:1", registry.address()),
        );
        let number = std::process::id();
        let bridge = format!("plimd{}", number % 100_000);
        let conf =
            daemon::cni_conf(&scratch, &bridge, &format!("10.{}.{}.0/24", 150 + number / 250 % 50, number % 250));
        let bins = peers::cni_bin_dir().unwrap_or_else(|why| panic!("{why}"));
        let group = scratch.cgroup_prefix();
        let config =
            format!("[network]\nconf_dir = {conf:?}\nbin_dirs = [{bins:?}]\n[runtime]\ncgroup_root = \"/{group}\"\n");
        let daemon = Daemon::start(&scratch, &config);
        lines.say("daemon", format!("plimsolld listens on {}", daemon.endpoint()));
        let has_crictl = peers::find("crictl").is_ok();
        if !has_crictl {
            lines.say("crictl", "MISSING (needs Go >= 1.26 to be built): this demo uses plim alone");
        }
        DemoNode { daemon, registry, web, busybox, has_crictl, bridge: Bridge(bridge), scratch }
    }

    /// The output of a crictl that must succeed, without the last line end.
    #[track_caller]
    pub(super) fn crictl(&self, args: &[&str]) -> String {
        self.checked("crictl", args, run(&mut self.daemon.crictl(args)))
    }

    /// The same for plim.
    #[track_caller]
    pub(super) fn plim(&self, args: &[&str]) -> String {
        self.checked("plim", args, run(&mut self.daemon.plim(args)))
    }

    #[track_caller]
    fn checked(&self, program: &str, args: &[&str], output: Output) -> String {
        let Output { code, stdout, stderr, .. } = output;
        assert!(
            code == 0,
            "{program} {args:?}: exit code {code}\n{stdout}{stderr}\nplimsolld says:\n{}",
            self.daemon.log_tail()
        );
        stdout.trim_end().to_owned()
    }

    /// Ends daemon and registry and puts the folder away.
    pub(super) fn end(mut self, lines: &mut Lines) {
        let code = self.daemon.stop();
        assert_eq!(code, Some(0), "plimsolld's exit code after SIGTERM\n{}", self.daemon.log_tail());
        let left: Vec<String> =
            self.scratch.leftovers().into_iter().filter(|l| !l.contains("docker-registry")).collect();
        assert!(left.is_empty(), "left behind by the daemon:\n{}", left.join("\n"));
        let (path, bridge) = (self.scratch.path().to_owned(), self.bridge.0.clone());
        drop(self);
        assert!(!path.exists(), "{} is still there", path.display());
        lines.say("end", format!("SIGTERM: plimsolld exits 0; registry, bridge {bridge} and folder put away"));
    }
}
