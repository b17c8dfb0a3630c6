//! A whole node for one test: a daemon with a CNI bridge of its own and a registry that holds busybox, driven by crictl.

use crate::fake_registry::{Pushed, busybox_layer};
use crate::{Daemon, FakeRegistry, Output, Scratch, daemon, none_left, peers, run, until};
use serde_json::{Value, json};
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::atomic::{AtomicU32, Ordering};

/// Fields drop in order: the daemon first, then what it used, the scratch last.
#[derive(Debug)]
pub struct Node {
    pub daemon: Daemon,
    bridge: Link,
    pub registry: FakeRegistry,
    pub busybox: Pushed,
    pub scratch: Scratch,
}

#[derive(Debug)]
struct Link(String);

impl Drop for Link {
    fn drop(&mut self) {
        if Path::new("/sys/class/net").join(&self.0).exists() {
            run(Command::new("ip").args(["link", "del", &self.0]));
        }
    }
}

impl Node {
    /// # Panics
    /// When a part of it does not start.
    #[must_use]
    pub fn start() -> Node {
        Node::start_with("")
    }

    /// The same with more lines for the daemon's config.
    ///
    /// # Panics
    /// As [`Node::start`].
    #[must_use]
    pub fn start_with(more: &str) -> Node {
        Node::start_in(Scratch::new(), more)
    }

    /// The same in a scratch that was made ready by the test. `PLIMSOLL_SANDBOXER=container` in the environment has sandboxes that
    /// are containers, unless the test's own lines are about handlers.
    ///
    /// # Panics
    /// As [`Node::start`].
    #[must_use]
    pub fn start_in(scratch: Scratch, more: &str) -> Node {
        let (bridge, conf) = network(&scratch);
        let bins = peers::cni_bin_dir().unwrap_or_else(|why| panic!("{why}"));
        let sandboxer = std::env::var("PLIMSOLL_SANDBOXER").ok().filter(|_| !more.contains("[handlers"));
        let sandboxer = sandboxer.map(|who| format!("[handlers.plimsoll]\ntype = \"shim\"\nsandboxer = {who:?}\n"));
        let more = format!("{more}\n{}", sandboxer.unwrap_or_default());
        let config = format!(
            "[network]\nconf_dir = {conf:?}\nbin_dirs = [{bins:?}]\n[runtime]\ncgroup_root = \"/{}\"\n{more}\n",
            scratch.cgroup_prefix()
        );
        let (registry, busybox) = images();
        let daemon = Daemon::start(&scratch, &config);
        Node { daemon, bridge, registry, busybox, scratch }
    }

    /// A node of containerd (`containerd` or `containerd-2`, see [`peers`]), which finds our shim in its PATH. `runtimes` are tables
    /// `[RUNTIMES.NAME]` of its CRI, in which `RUNTIMES` stands for the plugin's path; `default` is the NAME of one.
    ///
    /// # Panics
    /// When a part of it does not start.
    #[must_use]
    pub fn of_containerd(containerd: &str, default: &str, runtimes: &str) -> Node {
        let scratch = Scratch::new();
        let (bridge, conf) = network(&scratch);
        let bins = peers::cni_bin_dir().unwrap_or_else(|why| panic!("{why}"));
        let (registry, busybox) = images();
        let sleeper = json!({ "Entrypoint": ["/bin/sleep", "1000000"] });
        let pause = registry.image("pause", "1", &[busybox_layer()], sleeper).reference;
        let host = pause.split_once('/').expect("a reference").0;
        let certs = scratch.dir(&format!("certs/{host}"));
        let hosts = format!("[host.\"http://{host}\"]\ncapabilities = [\"pull\", \"resolve\"]\n");
        std::fs::write(certs.join("hosts.toml"), hosts).expect("hosts.toml");
        let (root, state, socket) = (scratch.dir("root"), scratch.dir("state"), scratch.join("d.sock"));
        let config = format!(
            "version = 2\nroot = {root:?}\nstate = {state:?}\n[grpc]\naddress = {socket:?}\n\
             [ttrpc]\naddress = \"{}.ttrpc\"\n[plugins.\"io.containerd.nri.v1.nri\"]\ndisable = true\n\
             [plugins.\"io.containerd.internal.v1.opt\"]\npath = {:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = {pause:?}\nrestrict_oom_score_adj = true\n\
             netns_mounts_under_state_dir = true\ndisable_apparmor = true\n\
             [plugins.\"io.containerd.grpc.v1.cri\".cni]\nbin_dir = {bins:?}\nconf_dir = {conf:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\".registry]\nconfig_path = {:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\".containerd]\ndefault_runtime_name = {default:?}\n{}",
            socket.display(),
            scratch.dir("opt"),
            scratch.dir("certs"),
            runtimes.replace("RUNTIMES", "plugins.\"io.containerd.grpc.v1.cri\".containerd.runtimes"),
        );
        let config = scratch.file("containerd.toml", config);
        let daemon = Daemon::run(&scratch, peers::containerd(&scratch, containerd, &config), config);
        let node = Node { daemon, bridge, registry, busybox, scratch };
        until("containerd's CRI", || node.crictl(&["info"]).code == 0);
        node
    }

    /// Runs crictl against the daemon.
    pub fn crictl(&self, args: &[&str]) -> Output {
        run(&mut self.daemon.crictl(args))
    }

    /// The output, without its last line end, of a crictl that must succeed.
    ///
    /// # Panics
    /// When it does not, with the end of the daemon's log.
    #[track_caller]
    pub fn ok(&self, args: &[&str]) -> String {
        let output = self.crictl(args);
        assert_eq!(output.code, 0, "crictl {args:?}\n{}{}\n{}", output.stdout, output.stderr, self.daemon.log_tail());
        output.stdout.trim_end().to_owned()
    }

    /// What crictl complains, which must fail.
    ///
    /// # Panics
    /// When it succeeds.
    #[track_caller]
    pub fn fails(&self, args: &[&str]) -> String {
        let output = self.crictl(args);
        assert_ne!(output.code, 0, "crictl {args:?} should fail\n{}", output.stdout);
        output.stderr
    }

    /// The parsed output of a crictl that prints JSON.
    ///
    /// # Panics
    /// When it fails or prints something else.
    #[track_caller]
    pub fn json(&self, args: &[&str]) -> Value {
        let text = self.ok(args);
        serde_json::from_str(&text).unwrap_or_else(|error| panic!("crictl {args:?}: {error}\n{text}"))
    }

    /// The pid of a pod's shim.
    ///
    /// # Panics
    /// When there is no such pod.
    #[track_caller]
    pub fn shim_of(&self, pod: &str) -> i64 {
        self.json(&["inspectp", pod])["info"]["pid"].as_i64().expect("a pid")
    }

    pub fn pull(&self) {
        self.ok(&["pull", &self.busybox.reference]);
    }

    /// Writes a pod configuration; `more` replaces or adds top-level fields.
    pub fn pod_file(&self, name: &str, more: Value) -> String {
        let mut pod = json!({
            "metadata": { "name": name, "namespace": "test", "uid": format!("uid-{name}"), "attempt": 0 },
            "hostname": name, "log_directory": self.scratch.dir("logs"), "linux": own_pids()
        });
        merge(&mut pod, more);
        self.scratch.file(&format!("{name}.pod.json"), pod.to_string()).display().to_string()
    }

    /// Writes a container configuration that runs `script` in busybox's shell.
    pub fn container_file(&self, name: &str, script: &str, more: Value) -> String {
        let mut container = json!({
            "metadata": { "name": name, "attempt": 0 }, "image": { "image": self.busybox.reference },
            "command": ["sh", "-c", script], "log_path": format!("{name}.log"), "linux": own_pids()
        });
        merge(&mut container, more);
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let file = format!("{name}-{}.container.json", NEXT.fetch_add(1, Ordering::Relaxed));
        self.scratch.file(&file, container.to_string()).display().to_string()
    }

    /// Creates and starts a container that runs `script`; its id.
    #[track_caller]
    pub fn start_container(&self, pod: &str, pod_file: &str, name: &str, script: &str) -> String {
        let id = self.ok(&["create", pod, &self.container_file(name, script, json!({})), pod_file]);
        self.ok(&["start", &id]);
        id
    }

    /// `.status` of `crictl inspect`.
    #[track_caller]
    pub fn status(&self, container: &str) -> Value {
        self.json(&["inspect", container])["status"].clone()
    }

    /// Waits until the container has exited; its status.
    ///
    /// # Panics
    /// When it runs on.
    #[track_caller]
    pub fn wait_exit(&self, container: &str) -> Value {
        let mut status = Value::Null;
        until(&format!("the exit of {container}"), || {
            status = self.status(container);
            status["state"] == "CONTAINER_EXITED"
        });
        status
    }

    /// Waits until the shim has recorded the container's exit, whether a daemon runs or not.
    ///
    /// # Panics
    /// When it never does.
    #[track_caller]
    pub fn wait_recorded(&self, container: &str) {
        let record = self.daemon.state.join("tasks/k8s.io").join(container).join("plimsoll-exit.json");
        until("the shim's record of the exit", || record.exists());
    }

    /// Waits until there is a request that the shims have not read.
    ///
    /// # Panics
    /// When there never is one.
    #[track_caller]
    pub fn wait_asked(&self) {
        let sockets = self.daemon.state.join("s").display().to_string();
        until("a request to the shim", || {
            let table = run(Command::new("ss").args(["-xH"])).ok();
            let mut lines = table.lines().filter(|line| line.contains(&sockets));
            lines.any(|line| line.split_whitespace().nth(2).is_some_and(|unread| unread != "0"))
        });
    }

    /// Everything of this node's that containers and pods must not leave behind: mounts, processes, cgroups, network
    /// namespaces of `pods`, bundles, pod folders, shims. What is on its way out is waited for.
    #[must_use]
    pub fn left_behind(&self, pods: &[&str]) -> Vec<String> {
        none_left(|| self.left_now(pods))
    }

    fn left_now(&self, pods: &[&str]) -> Vec<String> {
        let mut left: Vec<String> = self.scratch.leftovers();
        left.retain(|line| !line.contains("plimsolld") && !is_root_cgroup(line, &self.scratch.cgroup_prefix()));
        let namespaces = pods.iter().map(|pod| format!("/run/netns/plim-{}", &pod[..16]));
        left.extend(namespaces.filter(|path| Path::new(path).exists()));
        for folder in ["tasks/k8s.io", "sandboxes/k8s.io", "s", "runtime/k8s.io"] {
            let entries = std::fs::read_dir(self.daemon.state.join(folder)).into_iter().flatten().flatten();
            left.extend(entries.map(|entry| entry.path().display().to_string()));
        }
        left
    }

    /// The link of this node's bridge.
    #[must_use]
    pub fn bridge(&self) -> &str {
        &self.bridge.0
    }
}

/// A bridge and addresses that no other node has; the link, and the folder of the CNI configuration.
fn network(scratch: &Scratch) -> (Link, PathBuf) {
    static NEXT: AtomicU32 = AtomicU32::new(0);
    let number = std::process::id().wrapping_mul(7).wrapping_add(NEXT.fetch_add(1, Ordering::Relaxed));
    let bridge = format!("plimt{}", number % 1_000_000);
    let subnet = format!("10.{}.{}.0/24", 200 + number / 250 % 50, number % 250);
    let conf = daemon::cni_conf(scratch, &bridge, &subnet);
    (Link(bridge), conf)
}

/// A registry with the image that the containers run.
fn images() -> (FakeRegistry, Pushed) {
    let registry = FakeRegistry::start();
    let image = json!({ "Cmd": ["sh"], "Env": ["PATH=/bin", "FROM_IMAGE=yes"] });
    let second = crate::tar::Tar::new().file("etc/second", 0o644, "layer two\n");
    let busybox = registry.image("busybox", "1", &[busybox_layer(), second], image);
    (registry, busybox)
}

/// A PID namespace for each container, as the kubelet asks for; CRI's zero value is one for the pod.
fn own_pids() -> Value {
    json!({ "security_context": { "namespace_options": { "pid": 1 } } })
}

fn is_root_cgroup(line: &str, prefix: &str) -> bool {
    line.starts_with("cgroup ") && line.ends_with(prefix)
}

/// Objects are merged, whatever else is in `more` replaces.
fn merge(base: &mut Value, more: Value) {
    match (base, more) {
        (Value::Object(base), Value::Object(more)) => {
            for (key, value) in more {
                merge(base.entry(key).or_insert(Value::Null), value);
            }
        }
        (base, more) => *base = more,
    }
}
