//! plimrun under containerd's own shim (BinaryName), driven by `ctr`: the same as with runc.
#![cfg(feature = "privileged")]

use plimsoll_testkit::bundle::busybox_rootfs;
use plimsoll_testkit::run::with_deadline;
use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{Output, Scratch, peers};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

/// A private containerd whose shim calls `runtime`.
struct Containerd {
    scratch: Scratch,
    program: PathBuf,
    runtime: PathBuf,
    socket: PathBuf,
}

impl Containerd {
    fn start(runtime: Runtime) -> Containerd {
        let mut scratch = Scratch::new();
        let socket = scratch.join("c.sock");
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = [\"io.containerd.grpc.v1.cri\"]\n\
             [grpc]\naddress = {socket:?}\n[ttrpc]\naddress = \"{}.ttrpc\"\n",
            scratch.dir("root"),
            scratch.dir("state"),
            socket.display(),
        );
        let config = scratch.file("config.toml", config);
        busybox_rootfs(&scratch.dir("rootfs"));
        let program = peers::need("containerd").canonicalize().expect("containerd");
        let log = std::fs::File::create(scratch.join("log")).expect("a log");
        let mut command = scratch.command(&program);
        command.arg("-c").arg(config).stdin(Stdio::null()).stdout(log.try_clone().expect("a log")).stderr(log);
        scratch.spawn(&mut command);
        let containerd = Containerd { scratch, program, runtime: runtime.program(), socket };
        let until = Instant::now() + Duration::from_secs(20);
        while containerd.ctr(&["version"]).code != 0 {
            assert!(Instant::now() < until, "containerd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
        containerd
    }

    /// In a namespace of this test's: the shim's default root of the runtime is one for all containerds of a machine.
    fn ctr(&self, args: &[&str]) -> Output {
        let mut command = self.scratch.command(self.program.with_file_name("ctr"));
        command.arg("-a").arg(&self.socket).arg("-n").arg(self.scratch.id("ns")).args(args);
        with_deadline(&mut command, Duration::from_secs(30)).unwrap_or_else(|why| panic!("{why}"))
    }

    fn flags(&self) -> Vec<String> {
        let text = |path: PathBuf| path.to_string_lossy().into_owned();
        ["--runtime", "io.containerd.runc.v2", "--runc-binary", &text(self.runtime.clone())]
            .into_iter()
            .map(str::to_owned)
            .chain([
                "--runc-root".to_owned(),
                text(self.scratch.dir("runc")),
                "--fifo-dir".into(),
                text(self.scratch.dir("fifo")),
            ])
            .collect()
    }

    fn run(&self, flags: &[&str], id: &str, script: &str) -> Output {
        let ours = self.flags();
        let cgroup = format!("/{}/{id}", self.scratch.cgroup_prefix());
        let rootfs = self.scratch.dir("rootfs").to_string_lossy().into_owned();
        let mut args = vec!["run", "--cgroup", &cgroup, "--env", "PATH=/bin"];
        args.extend(ours.iter().map(String::as_str));
        args.extend_from_slice(flags);
        args.extend_from_slice(&["--rootfs", &rootfs, id, "sh", "-c", script]);
        self.ctr(&args)
    }

    fn exec(&self, name: &str, script: &str) -> Output {
        let fifos = self.scratch.dir("fifo").to_string_lossy().into_owned();
        self.ctr(&["task", "exec", "--fifo-dir", &fifos, "--exec-id", name, "it", "sh", "-c", script])
    }

    #[track_caller]
    fn wait_for(&self, status: &str) {
        let until = Instant::now() + Duration::from_secs(10);
        while !self.ctr(&["task", "ls"]).ok().contains(status) {
            assert!(Instant::now() < until, "never {status}");
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    fn end(self) {
        let parent = format!("/{}", self.scratch.cgroup_prefix());
        let ours = |left: &String| !left.contains("containerd -c") && !left.ends_with(&parent);
        let left: Vec<String> = self.scratch.lasting().into_iter().filter(ours).collect();
        assert_eq!(left.iter().filter(|left| ours(left)).count(), 0, "{left:?}");
    }
}

/// The programs live for a moment: ctr gives up opening a FIFO when the task has ended by then, and loses its output.
fn codes_and_output(containerd: &Containerd) {
    let seen = containerd.run(&["--rm"], "it", "echo out; echo err >&2; sleep 0.2; exit 42");
    assert_eq!((seen.code, seen.stdout.as_str(), seen.stderr.contains("err")), (42, "out\n", true), "{seen:?}");
    std::thread::scope(|scope| {
        for number in 1..=4 {
            scope.spawn(move || {
                let seen = containerd.run(
                    &["--rm"],
                    &format!("many{number}"),
                    &format!("echo {number}; sleep 0.2; exit {number}"),
                );
                assert_eq!((seen.code, seen.stdout), (number, format!("{number}\n")), "{}", seen.stderr);
            });
        }
    });
    let flags = ["--rm", "--memory-limit", "20971520", "--read-only", "--cwd", "/tmp", "--seccomp"];
    let seen = containerd.run(
        &flags,
        "it",
        "pwd; touch /x || echo read-only; unshare -m true || echo filtered; tail /dev/zero; echo $?",
    );
    assert_eq!(seen.stdout, "/tmp\nread-only\nfiltered\n137\n", "{}", seen.stderr);
}

fn failures(containerd: &Containerd) {
    let missing = containerd.ctr(&[
        "run",
        "--rm",
        "--runtime",
        "io.containerd.runc.v2",
        "--rootfs",
        "/no/such/rootfs",
        "x",
        "true",
    ]);
    assert_ne!(missing.code, 0);
    let ours = containerd.flags();
    let rootfs = containerd.scratch.dir("rootfs").to_string_lossy().into_owned();
    let cgroup = format!("/{}/bad", containerd.scratch.cgroup_prefix());
    let mut args = vec!["run", "--rm", "--cgroup", &cgroup];
    args.extend(ours.iter().map(String::as_str));
    args.extend_from_slice(&["--rootfs", &rootfs, "bad", "no-such-program"]);
    let seen = containerd.ctr(&args);
    assert!(seen.code != 0 && seen.stderr.contains("executable file not found in $PATH"), "{seen:?}");
}

fn a_life(containerd: &Containerd) {
    containerd.run(&["-d"], "it", "trap 'exit 7' TERM; while :; do sleep 0.05; done").ok();
    let seen = containerd.exec("e1", "echo in; exit 3");
    assert_eq!((seen.code, seen.stdout.as_str()), (3, "in\n"), "{seen:?}");
    containerd.ctr(&["task", "pause", "it"]).ok();
    containerd.wait_for("PAUSED");
    containerd.ctr(&["task", "resume", "it"]).ok();
    containerd.wait_for("RUNNING");
    assert!(containerd.ctr(&["task", "ps", "it"]).ok().lines().count() > 1);
    assert!(containerd.ctr(&["task", "metrics", "it"]).ok().contains("memory"));
    containerd.ctr(&["task", "kill", "-s", "SIGTERM", "it"]).ok();
    containerd.wait_for("STOPPED");
    // ctr says by its own code that the container's is not 0.
    assert!(containerd.ctr(&["task", "delete", "it"]).stderr.contains("exit with non-zero exit code 7"));
    containerd.ctr(&["container", "delete", "it"]).ok();
}

fn a_terminal(containerd: &Containerd) {
    containerd.run(&["-d"], "it", "sleep 1000").ok();
    let ctr = containerd.program.with_file_name("ctr");
    let (namespace, fifos) = (containerd.scratch.id("ns"), containerd.scratch.dir("fifo"));
    let line = format!(
        "{} -a {} -n {namespace} task exec -t --fifo-dir {} --exec-id t it tty",
        ctr.display(),
        containerd.socket.display(),
        fifos.display()
    );
    let seen = plimsoll_testkit::run(containerd.scratch.command("script").args(["-qec", &line, "/dev/null"]));
    assert!(seen.code == 0 && seen.stdout.contains("/dev/pts/0\r"), "{seen:?}");
    containerd.ctr(&["task", "kill", "-s", "SIGKILL", "it"]).ok();
    containerd.wait_for("STOPPED");
    assert!(containerd.ctr(&["task", "delete", "it"]).stderr.contains("137"));
    containerd.ctr(&["container", "delete", "it"]).ok();
}

fn all(runtime: Runtime) {
    let containerd = Containerd::start(runtime);
    codes_and_output(&containerd);
    failures(&containerd);
    a_life(&containerd);
    a_terminal(&containerd);
    containerd.end();
}

#[test]
fn with_runc() {
    all(Runtime("runc"));
}

#[test]
fn with_plimrun() {
    all(Runtime("plimrun"));
}
