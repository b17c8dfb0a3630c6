//! plimrun as a runtime of Debian's Docker Engine, which calls it through containerd and its shim: the same as with runc.
#![cfg(feature = "privileged")]

use plimsoll_testkit::bundle::busybox_rootfs;
use plimsoll_testkit::run::with_deadline;
use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Output, Scratch, leak, peers, run};
use std::path::PathBuf;
use std::process::{Command, Stdio};
use std::time::{Duration, Instant};

/// An engine with folders and socket of its own, in mount and network namespaces of its own.
struct Docker {
    scratch: Scratch,
    socket: PathBuf,
}

impl Docker {
    fn start(runtime: Runtime) -> Docker {
        let mut scratch = Scratch::new();
        let socket = scratch.join("d.sock");
        let dockerd = peers::need("dockerd").canonicalize().expect("dockerd");
        // containerd and its shim lie in the same unpacked tree.
        let programs = dockerd.ancestors().nth(2).expect("a tree").join("bin");
        let usual = std::env::var_os("PATH").unwrap_or_default();
        let path = std::env::join_paths(std::iter::once(programs).chain(std::env::split_paths(&usual))).expect("PATH");
        let log = std::fs::File::create(scratch.join("log")).expect("a log");
        let mut command = scratch.command("unshare");
        command.args(["-n", "-m", "sh", "-c", "mount --make-rprivate / && ip link set lo up && exec \"$@\"", "sh"]);
        command.arg(dockerd).env("PATH", path).arg("--data-root").arg(scratch.dir("data"));
        command.arg("--exec-root").arg(scratch.dir("exec")).arg("-p").arg(scratch.join("pid"));
        command.arg("-H").arg(format!("unix://{}", socket.display()));
        command.args(["--iptables=false", "--ip-masq=false", "--bridge=none", "--storage-driver=overlay2"]);
        command.args([
            "--exec-opt=native.cgroupdriver=cgroupfs",
            "--default-ulimit=nofile=1024:1024",
            "--default-runtime=it",
        ]);
        command.arg(format!("--add-runtime=it={}", runtime.program().display()));
        command.arg(format!("--cgroup-parent=/{}", scratch.cgroup_prefix()));
        command.stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        scratch.spawn(&mut command);
        let docker = Docker { scratch, socket };
        let until = Instant::now() + Duration::from_secs(40);
        while docker.docker(&["version"]).code != 0 {
            let log = || std::fs::read_to_string(docker.scratch.join("log"));
            assert!(Instant::now() < until, "dockerd does not answer: {:?}", log());
            std::thread::sleep(Duration::from_millis(50));
        }
        docker.load_image();
        docker
    }

    fn load_image(&self) {
        let root = self.scratch.dir("image");
        busybox_rootfs(&root);
        let layer = self.scratch.join("layer.tar");
        run(Command::new("tar").arg("-C").arg(&root).arg("-cf").arg(&layer).arg(".")).ok();
        self.docker(&["import", "--change", "ENV PATH=/bin", &layer.to_string_lossy(), "busybox"]).ok();
    }

    fn docker(&self, args: &[&str]) -> Output {
        let mut command = self.scratch.command(peers::need("docker"));
        command.arg("-H").arg(format!("unix://{}", self.socket.display())).args(args);
        command.env("DOCKER_CONFIG", self.scratch.dir("config"));
        with_deadline(&mut command, Duration::from_secs(60)).unwrap_or_else(|why| panic!("{why}"))
    }

    fn run(&self, flags: &[&str], script: &[&str]) -> Output {
        self.docker(&[&["run", "--network", "none"], flags, &["busybox"], script].concat())
    }

    fn inspect(&self, format: &str) -> String {
        self.docker(&["inspect", "--format", format, "it"]).ok().trim().to_owned()
    }

    #[track_caller]
    fn wait_for(&self, format: &str, expected: &str) {
        let until = Instant::now() + Duration::from_secs(20);
        while self.inspect(format) != expected {
            assert!(Instant::now() < until, "{format} is {}, never {expected}", self.inspect(format));
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    /// The containers' cgroups and processes are gone with them; dockerd ends at its signal.
    fn end(mut self) {
        let ids = self.docker(&["ps", "-aq"]).ok();
        let ids: Vec<&str> = ids.split_whitespace().collect();
        if !ids.is_empty() {
            self.docker(&[&["rm", "-f"], &ids[..]].concat()).ok();
        }
        let parent = format!("/{}", self.scratch.cgroup_prefix());
        let groups: Vec<String> =
            leak::cgroups_with(&self.scratch.cgroup_prefix()).into_iter().filter(|g| !g.ends_with(&parent)).collect();
        assert_eq!(groups, Vec::<String>::new());
        let pid = std::fs::read_to_string(self.scratch.join("pid")).expect("dockerd's pid");
        run(Command::new("kill").arg(pid.trim())).ok();
        self.scratch.last_child().wait().expect("dockerd ends");
        let left = self.scratch.lasting().into_iter().filter(|what| !what.ends_with(&parent)).collect::<Vec<_>>();
        assert_eq!(left, Vec::<String>::new());
    }
}

fn codes_and_output(docker: &Docker) {
    let seen = docker.run(&["--rm"], &["sh", "-c", "echo out; echo err >&2; exit 42"]);
    assert_eq!((seen.code, seen.stdout.as_str(), seen.stderr.as_str()), (42, "out\n", "err\n"));
    // The engine tells these two apart by the runtime's words.
    assert_eq!(docker.run(&["--rm"], &["no-such-program"]).code, 127);
    assert_eq!(docker.run(&["--rm"], &["/etc/passwd"]).code, 126);
    let seen = docker.run(
        &["--rm", "--user", "1000:1000", "--init", "--read-only", "--cap-drop", "ALL"],
        &["sh", "-c", "id -u; touch /x || grep CapEff /proc/self/status"],
    );
    // docker-init is not in the tree of every version: then the engine says so.
    assert!(seen.stdout == "1000\nCapEff:\t0000000000000000\n" || seen.stderr.contains("docker-init"), "{seen:?}");
}

fn limits(docker: &Docker) {
    let script = "cat /sys/fs/cgroup/memory/memory.limit_in_bytes /sys/fs/cgroup/pids/pids.max; tail /dev/zero";
    let seen = docker
        .run(&["--name", "it", "--memory", "32m", "--memory-swap", "32m", "--pids-limit", "17"], &["sh", "-c", script]);
    assert_eq!(seen.stdout, "33554432\n17\n", "{}", seen.stderr);
    assert_eq!(seen.code, 137);
    docker.docker(&["rm", "it"]).ok();
}

fn a_life(docker: &Docker) {
    let script = "echo begun; trap 'exit 3' TERM; while :; do sleep 0.05; done";
    let health = ["--health-cmd", "test -e /tmp/well", "--health-interval", "300ms", "--health-retries", "1"];
    docker.run(&[&["-d", "--name", "it", "--memory", "64m"], &health[..]].concat(), &["sh", "-c", script]).ok();
    docker.wait_for("{{.State.Health.Status}}", "unhealthy");
    let seen =
        docker.docker(&["exec", "-e", "A=b", "-w", "/tmp", "it", "sh", "-c", "touch well; echo $A $PWD; exit 5"]);
    assert_eq!((seen.code, seen.stdout.as_str()), (5, "b /tmp\n"), "{}", seen.stderr);
    docker.wait_for("{{.State.Health.Status}}", "healthy");
    // This engine's word for either failure of an exec.
    assert_eq!(docker.docker(&["exec", "it", "no-such-program"]).code, 126);
    docker.docker(&["pause", "it"]).ok();
    docker.wait_for("{{.State.Status}}", "paused");
    docker.docker(&["unpause", "it"]).ok();
    assert!(docker.docker(&["stats", "--no-stream", "--format", "{{.PIDs}}", "it"]).ok().trim() != "0");
    assert!(docker.docker(&["top", "it"]).ok().lines().count() > 1);
    docker.docker(&["restart", "-t", "10", "it"]).ok();
    docker.wait_for("{{.State.Status}}", "running");
    docker.docker(&["stop", "-t", "10", "it"]).ok();
    assert_eq!(docker.inspect("{{.State.Status}} {{.State.ExitCode}}"), "exited 3");
    assert_eq!(docker.docker(&["logs", "it"]).ok(), "begun\nbegun\n");
    docker.docker(&["rm", "it"]).ok();
}

fn updates(docker: &Docker) {
    docker.run(&["-d", "--name", "it", "--memory", "64m", "--memory-swap", "64m"], &["sleep", "1000"]).ok();
    docker
        .docker(&[
            "update",
            "--memory",
            "80m",
            "--memory-swap",
            "80m",
            "--cpu-shares",
            "300",
            "--pids-limit",
            "33",
            "it",
        ])
        .ok();
    let files = ["memory/memory.limit_in_bytes", "cpu/cpu.shares", "pids/pids.max"]
        .map(|file| format!("/sys/fs/cgroup/{file}"));
    let mut args = vec!["exec", "it", "cat"];
    args.extend(files.iter().map(String::as_str));
    assert_eq!(docker.docker(&args).ok(), "83886080\n300\n33\n");
    docker.docker(&["rm", "-f", "it"]).ok();
}

fn a_terminal(docker: &Docker) {
    let cli = peers::need("docker");
    let line = format!(
        "stty rows 33 cols 77; {} -H unix://{} run -it --rm --network none busybox sh -c 'sleep 0.3; tty; stty size; exit 7'",
        cli.display(),
        docker.socket.display()
    );
    let seen = run(docker.scratch.command("script").env("SHELL", "/bin/sh").args(["-qec", &line, "/dev/null"]));
    assert_eq!(
        (seen.code, seen.stdout.replace('\r', "").replace("^@", "").as_str()),
        (7, "/dev/pts/0\n33 77\n"),
        "{}",
        seen.stderr
    );
}

/// One engine for all of it: it takes seconds to start.
fn all(runtime: Runtime) {
    let docker = Docker::start(runtime);
    codes_and_output(&docker);
    limits(&docker);
    a_life(&docker);
    updates(&docker);
    a_terminal(&docker);
    docker.end();
}

#[test]
fn with_runc() {
    all(Runtime("runc"));
}

#[test]
fn with_plimrun() {
    all(Runtime("plimrun"));
}
