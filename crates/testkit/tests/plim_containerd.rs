//! The CRI part of `plim` against somebody else's runtime: the distribution's containerd with runc.
#![cfg(feature = "privileged")]

use plimsoll_testkit::fake_registry::busybox_layer;
use plimsoll_testkit::{FakeRegistry, Output, Scratch, bin, peers, run, until};
use serde_json::json;
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// Fields drop in order: the scratch ends containerd and its shims.
struct Containerd {
    socket: PathBuf,
    log: PathBuf,
    scratch: Scratch,
}

impl Containerd {
    fn start(pause: &str, registry: &str) -> Containerd {
        let mut scratch = Scratch::new();
        let (socket, log) = (scratch.join("c.sock"), scratch.join("c.log"));
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\n[grpc]\naddress = {socket:?}\n\
             [plugins.\"io.containerd.grpc.v1.cri\"]\nsandbox_image = {pause:?}\ndisable_apparmor = true\n\
             restrict_oom_score_adj = true\nstream_server_port = \"0\"\n\
             [plugins.\"io.containerd.grpc.v1.cri\".registry.mirrors.{registry:?}]\nendpoint = [\"http://{registry}\"]\n",
            scratch.dir("root"),
            scratch.dir("state"),
        );
        let config = scratch.file("config.toml", config);
        let program = peers::need("containerd").canonicalize().expect("containerd");
        // Its shim lies beside it, and the shim looks for runc.
        let folders =
            [program.parent().expect("folder"), peers::need("runc").parent().expect("folder")].map(Path::to_owned);
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(folders.into_iter().chain(std::env::split_paths(&usual))).expect("PATH");
        let output = std::fs::File::create(&log).expect("log");
        let copy = output.try_clone().expect("log");
        let mut command = scratch.command(&program);
        command.arg("-c").arg(config).env("PATH", path).stdin(Stdio::null()).stdout(output).stderr(copy);
        scratch.spawn(&mut command);
        let containerd = Containerd { socket, log, scratch };
        let until = Instant::now() + Duration::from_secs(20);
        while containerd.plim(&["info"]).code != 0 {
            assert!(Instant::now() < until, "containerd does not answer: {}", containerd.log());
            std::thread::sleep(Duration::from_millis(100));
        }
        containerd
    }

    fn plim(&self, args: &[&str]) -> Output {
        run(Command::new(bin("plim")).arg("--endpoint").arg(&self.socket).args(args).current_dir(self.scratch.path()))
    }

    #[track_caller]
    fn ok(&self, args: &[&str]) -> String {
        let output = self.plim(args);
        assert_eq!(output.code, 0, "plim {args:?}\n{}{}\n{}", output.stdout, output.stderr, self.log());
        output.stdout.trim_end().to_owned()
    }

    fn log(&self) -> String {
        std::fs::read_to_string(&self.log).unwrap_or_default().lines().rev().take(5).collect::<Vec<_>>().join("\n")
    }
}

#[test]
fn the_cri_part_works_with_containerd_and_what_it_lacks_is_said() {
    let registry = FakeRegistry::start();
    let image = registry.image("busybox", "1", &[busybox_layer()], json!({ "Cmd": ["sh"], "Env": ["PATH=/bin"] }));
    let pause = registry.image("pause", "1", &[busybox_layer()], json!({ "Entrypoint": ["/bin/sleep", "100000"] }));
    let containerd = Containerd::start(&pause.reference, &registry.address().to_string());
    let image = image.reference.as_str();

    assert!(containerd.ok(&["version"]).contains("containerd"));
    assert!(containerd.ok(&["info"]).contains("not served by this runtime"));
    let pulled = containerd.plim(&["pull", image]);
    assert!(pulled.code == 0 && pulled.stderr.contains("tells no progress"), "{pulled:?}");
    assert!(containerd.ok(&["images"]).contains(image));
    let cgroup = format!("/{}", containerd.scratch.cgroup_prefix());
    let common = ["run", "--cgroup-parent", &cgroup, "--network", "host"];
    let output =
        containerd.plim(&[&common[..], &["--rm", image, "sh", "-c", "echo out; echo err >&2; exit 42"]].concat());
    assert_eq!(
        (output.code, output.stdout.as_str(), output.stderr.as_str()),
        (42, "out\n", "err\n"),
        "{}",
        containerd.log()
    );

    let server = ["-d", "--name", "web", image, "sh", "-c", "echo begun; sleep 1000"];
    containerd.ok(&[&common[..], &server].concat());
    until("its output", || containerd.ok(&["logs", "web"]) == "begun");
    assert_eq!(containerd.ok(&["exec", "web", "echo", "inside"]), "inside");
    assert!(containerd.ok(&["inspect", "web"]).contains("runtimeSpec"));
    for verb in [&["events"][..], &["inspect", "--origin", "web"]] {
        let refused = containerd.plim(verb);
        assert!(refused.code == 1 && refused.stderr.contains("this runtime"), "{refused:?}");
    }
    containerd.ok(&["stop", "-t", "1", "web"]);
    containerd.ok(&["rm", "web"]);
    assert_eq!(containerd.ok(&["ps", "-aq"]), "");
    assert_eq!(containerd.ok(&["pods", "-q"]), "");
    containerd.ok(&["rmi", image]);
}
