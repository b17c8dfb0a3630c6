//! plimrun under Debian's Podman, which calls it through conmon: the same life of containers as with runc.
#![cfg(feature = "privileged")]

use plimsoll_testkit::bundle::busybox_rootfs;
use plimsoll_testkit::run::with_deadline;
use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Output, Scratch, peers, run};
use serde_json::Value;
use std::path::PathBuf;
use std::process::Command;
use std::time::Duration;

/// A Podman with folders, image store and cgroup parent of its own.
struct Podman {
    scratch: Scratch,
    runtime: PathBuf,
    config: PathBuf,
}

impl Podman {
    fn new(runtime: Runtime) -> Podman {
        let scratch = Scratch::new();
        let home = scratch.dir("home");
        let policy = home.join(".config/containers");
        std::fs::create_dir_all(&policy).expect("a folder");
        std::fs::write(policy.join("policy.json"), r#"{"default":[{"type":"insecureAcceptAnything"}]}"#)
            .expect("a policy");
        // Podman's own default of a million open files is more than this process may hand on.
        let config = format!(
            "[engine]\nconmon_path = [{:?}]\nevents_logger = \"file\"\ncgroup_manager = \"cgroupfs\"\n[network]\n\
             network_config_dir = {:?}\n[containers]\ndefault_ulimits = [\"nofile=1024:1024\", \"nproc=1024:1024\"]\n",
            peers::need("conmon"),
            scratch.dir("net"),
        );
        let config = scratch.file("containers.conf", config);
        let podman = Podman { runtime: runtime.program(), config, scratch };
        podman.load_image();
        podman
    }

    /// `podman load` of an archive in Docker's form: one layer of busybox.
    fn load_image(&self) {
        let root = self.scratch.dir("image");
        busybox_rootfs(&root);
        let (layer, archive) = (self.scratch.join("layer.tar"), self.scratch.join("image.tar"));
        run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&layer).arg(".")).ok();
        self.podman(&["import", "--change", "ENV PATH=/bin", &layer.to_string_lossy(), "local/busybox"]).ok();
        self.podman(&["save", "-q", "-o", &archive.to_string_lossy(), "local/busybox"]).ok();
        self.podman(&["rmi", "local/busybox"]).ok();
        self.podman(&["load", "-q", "-i", &archive.to_string_lossy()]).ok();
    }

    fn command(&self) -> Command {
        let mut command = self.scratch.command(peers::need("podman"));
        command.env("HOME", self.scratch.join("home")).env("CONTAINERS_CONF", &self.config);
        // conmon notes an OOM kill by a file in its working folder.
        command.current_dir(self.scratch.path());
        // Where the volatile state of a user's session would go.
        command.env_remove("XDG_RUNTIME_DIR");
        for (flag, name) in [("--root", "root"), ("--runroot", "run"), ("--tmpdir", "tmp")] {
            command.arg(flag).arg(self.scratch.dir(name));
        }
        command.args(["--cgroup-manager", "cgroupfs", "--storage-driver", "overlay", "--runtime"]).arg(&self.runtime);
        command
    }

    fn podman(&self, args: &[&str]) -> Output {
        with_deadline(self.command().args(args), Duration::from_secs(60)).unwrap_or_else(|why| panic!("{why}"))
    }

    /// `podman run` of `script` without a network, which is Podman's to make, not the runtime's.
    fn run(&self, flags: &[&str], script: &[&str]) -> Output {
        let parent = format!("/{}", self.scratch.cgroup_prefix());
        let mut args = vec!["run", "--network", "none", "--cgroup-parent", &parent];
        args.extend_from_slice(flags);
        args.push("local/busybox");
        args.extend_from_slice(script);
        self.podman(&args)
    }

    /// `podman run` on a terminal, as a person at a shell has it. No argument may need quotes.
    fn run_on_terminal(&self, words: &str) -> Output {
        let inner = self.command();
        let line: Vec<String> = std::iter::once(inner.get_program())
            .chain(inner.get_args())
            .map(|word| format!("'{}'", word.to_string_lossy()))
            .collect();
        let parent = self.scratch.cgroup_prefix();
        let line = format!(
            "stty rows 33 cols 77; {} run -it --rm --network none --cgroup-parent /{parent} local/busybox {words}",
            line.join(" ")
        );
        let mut script = self.scratch.command("script");
        script
            .current_dir(self.scratch.path())
            .env("HOME", self.scratch.join("home"))
            .env("CONTAINERS_CONF", &self.config)
            .env("SHELL", "/bin/sh");
        run(script.args(["-qec", &line, "/dev/null"]))
    }

    fn status(&self, name: &str) -> String {
        self.podman(&["inspect", "--format", "{{.State.Status}}", name]).ok().trim().to_owned()
    }

    /// Nothing of Podman's or the runtime's outlives the containers.
    fn end(self) {
        self.podman(&["rm", "--all", "--force", "--time", "0"]).ok();
        // Podman keeps its store mounted.
        drop(run(self.scratch.command("umount").arg(self.scratch.join("root/overlay"))));
        let parent = format!("/{}", self.scratch.cgroup_prefix());
        // Podman leaves the parent, and below it conmon's.
        let ours =
            |left: &String| !left.ends_with(&parent) && !left.ends_with("/conmon") && !left.ends_with("/root/overlay");
        let left: Vec<String> = self.scratch.lasting().into_iter().filter(ours).collect();
        assert_eq!(left, Vec::<String>::new());
    }
}

fn codes_and_output(runtime: Runtime) {
    let podman = Podman::new(runtime);
    let seen = podman.run(&["--rm"], &["sh", "-c", "echo out; echo err >&2; exit 42"]);
    assert_eq!((seen.code, seen.stdout.as_str(), seen.stderr.as_str()), (42, "out\n", "err\n"));
    let seen = podman.run(
        &["--rm", "--user", "1000:1000", "--workdir", "/tmp", "--env", "A=b", "--hostname", "name"],
        &["sh", "-c", "echo $(id -u):$(id -g) $PWD $A $(hostname)"],
    );
    assert_eq!(seen.ok(), "1000:1000 /tmp b name\n");
    // Podman tells a program that is not there (127) from one that cannot be executed (126) by the runtime's words.
    assert_eq!(podman.run(&["--rm"], &["no-such-program"]).code, 127);
    assert_eq!(podman.run(&["--rm"], &["/etc/passwd"]).code, 126);
    let seen = podman.run(
        &["--rm", "--memory", "32m", "--pids-limit", "20", "--read-only"],
        &["sh", "-c", "touch /x || echo read-only; tail /dev/zero; echo $?"],
    );
    assert_eq!((seen.code, seen.stdout.as_str()), (0, "read-only\n137\n"), "{}", seen.stderr);
    podman.end();
}

fn a_life(runtime: Runtime) {
    let podman = Podman::new(runtime);
    podman
        .run(&["-d", "--name", "it"], &["sh", "-c", "echo begun; trap 'exit 3' TERM; while :; do sleep 0.05; done"])
        .ok();
    assert_eq!(podman.status("it"), "running");
    let seen = podman.podman(&["exec", "-e", "A=b", "-w", "/tmp", "it", "sh", "-c", "echo $A $PWD; exit 5"]);
    assert_eq!((seen.code, seen.stdout.as_str()), (5, "b /tmp\n"), "{}", seen.stderr);
    assert_eq!(podman.podman(&["exec", "it", "no-such-program"]).code, 127);
    assert_eq!(podman.podman(&["exec", "it", "/etc/passwd"]).code, 126);
    podman.podman(&["pause", "it"]).ok();
    assert_eq!(podman.status("it"), "paused");
    podman.podman(&["unpause", "it"]).ok();
    let stats: Value =
        serde_json::from_str(&podman.podman(&["stats", "--no-stream", "--format", "json", "it"]).ok()).expect("JSON");
    assert!(stats[0]["pids"].as_str().is_some_and(|pids| pids != "0"), "{stats}");
    assert!(podman.podman(&["top", "it", "pid", "comm"]).ok().lines().count() > 1);
    podman.podman(&["stop", "--time", "10", "it"]).ok();
    let seen = podman.podman(&["inspect", "--format", "{{.State.Status}} {{.State.ExitCode}}", "it"]);
    assert_eq!(seen.ok(), "exited 3\n");
    assert_eq!(podman.podman(&["logs", "it"]).ok(), "begun\n");
    podman.podman(&["start", "it"]).ok();
    podman.podman(&["kill", "--signal", "KILL", "it"]).ok();
    assert_eq!(podman.podman(&["wait", "it"]).ok(), "137\n");
    podman.podman(&["rm", "it"]).ok();
    podman.end();
}

fn a_terminal(runtime: Runtime) {
    let podman = Podman::new(runtime);
    // Podman may attach, and give the terminal its size, only after a program that short has ended: with every runtime.
    let seen = podman.run_on_terminal("sh -c \"sleep 1; tty; stty size; exit 7\"");
    assert_eq!(
        (seen.code, seen.stdout.replace('\r', "").replace("^@", "").as_str()),
        (7, "/dev/pts/0\n33 77\n"),
        "{}",
        seen.stderr
    );
    podman.end();
}

/// Buildah's code in Podman calls the runtime itself, without conmon.
fn a_build(runtime: Runtime) {
    let podman = Podman::new(runtime);
    let context = podman.scratch.dir("context");
    let folder = context.to_string_lossy().into_owned();
    let build = |name: &str, file: &str| {
        std::fs::write(context.join("Containerfile"), file).expect("a file");
        // Buildah's cgroup is the one named, so it must be of no other container's.
        let group = format!("/{}/{name}", podman.scratch.cgroup_prefix());
        podman.podman(&[
            "build",
            "--isolation",
            "oci",
            "--network",
            "none",
            "--cgroup-parent",
            &group,
            "-t",
            name,
            &folder,
        ])
    };
    let run = "RUN --mount=type=tmpfs,dst=/x echo built > /made && touch /x/y";
    build(
        "made",
        &format!("FROM local/busybox\n{run}\nCMD [\"sh\", \"-c\", \"cat /made; test -e /x/y || echo gone\"]\n"),
    )
    .ok();
    let parent = format!("/{}", podman.scratch.cgroup_prefix());
    let seen = podman.podman(&["run", "--rm", "--network", "none", "--cgroup-parent", &parent, "made"]);
    assert_eq!(seen.ok(), "built\ngone\n");
    let seen = build("failing", "FROM local/busybox\nRUN exit 9\n");
    assert!(seen.code != 0 && seen.stderr.contains("exit status 9"), "{seen:?}");
    podman.end();
}

/// Each body with runc, then with ours.
macro_rules! with_both {
    ($($body:ident),*) => {
        mod runc { $(#[test] fn $body() { super::$body(super::Runtime("runc")); })* }
        mod plimrun { $(#[test] fn $body() { super::$body(super::Runtime("plimrun")); })* }
    };
}
with_both!(codes_and_output, a_life, a_terminal, a_build);
