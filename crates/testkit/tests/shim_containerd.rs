//! Our shim under somebody else's daemon: the distribution's containerd and a current one run containers with it by `ctr`.
#![cfg(feature = "privileged")]
#![allow(clippy::print_stderr, reason = "a test that cannot test must be heard")]

use plimsoll_testkit::bundle::busybox_rootfs;
use plimsoll_testkit::run::with_deadline;
use plimsoll_testkit::{Output, Scratch, none_left, peers, until};
use std::path::PathBuf;
use std::process::Stdio;
use std::time::{Duration, Instant};

const RUNTIME: &str = "io.containerd.plimsoll.v1";

/// Names of containerd and its ctr. The distribution's begins shims by command line and environment, the current one by
/// parameters on standard input.
const CONTAINERDS: [[&str; 2]; 2] = [["containerd", "ctr"], ["containerd-2", "ctr-2"]];

/// Those that are here; the current one takes minutes to build.
fn containerds() -> Vec<[&'static str; 2]> {
    let here = |names: &[&str; 2]| match peers::find(names[0]) {
        Err(why) if *names == CONTAINERDS[1] => {
            eprintln!("NOT RUN: containers of a current containerd (./dev conformance): {why}");
            false
        }
        _ => true,
    };
    CONTAINERDS.into_iter().filter(here).collect()
}

/// A private containerd that finds our shim in its PATH.
struct Containerd {
    name: &'static str,
    ctr: PathBuf,
    config: PathBuf,
    socket: PathBuf,
    scratch: Scratch,
    pid: u32,
}

impl Containerd {
    fn start([daemon, ctr]: [&'static str; 2]) -> Containerd {
        let scratch = Scratch::new();
        let socket = scratch.join("c.sock");
        // The CRI's ids in 1.x and in 2.x.
        let disabled = ["grpc.v1.cri", "cri.v1.runtime", "cri.v1.images"].map(|id| format!("io.containerd.{id}"));
        let config = format!(
            "version = 2\nroot = {:?}\nstate = {:?}\ndisabled_plugins = {disabled:?}\n\
             [grpc]\naddress = {socket:?}\n[ttrpc]\naddress = \"{}.ttrpc\"\n",
            scratch.dir("root"),
            scratch.dir("state"),
            socket.display(),
        );
        let config = scratch.file("config.toml", config);
        busybox_rootfs(&scratch.dir("rootfs"));
        let program = peers::need(daemon).canonicalize().expect("containerd");
        let ctr = if daemon == "containerd" { program.with_file_name(ctr) } else { peers::need(ctr) };
        let mut containerd = Containerd { name: daemon, ctr, config, socket, scratch, pid: 0 };
        containerd.run_daemon();
        containerd
    }

    fn run_daemon(&mut self) {
        let log = std::fs::File::options().create(true).append(true).open(self.scratch.join("c.log")).expect("log");
        let copy = log.try_clone().expect("log");
        let mut command = peers::containerd(&self.scratch, self.name, &self.config);
        command.stdin(Stdio::null()).stdout(log).stderr(copy);
        self.pid = self.scratch.spawn(&mut command).id();
        let until = Instant::now() + Duration::from_secs(20);
        while self.ctr(&["version"]).code != 0 {
            assert!(Instant::now() < until, "containerd does not answer");
            std::thread::sleep(Duration::from_millis(50));
        }
    }

    fn kill_daemon(&self) {
        let pid = rustix::process::Pid::from_raw(i32::try_from(self.pid).expect("pid")).expect("pid");
        rustix::process::kill_process(pid, rustix::process::Signal::KILL).expect("kill containerd");
    }

    fn ctr(&self, args: &[&str]) -> Output {
        let mut command = self.scratch.command(&self.ctr);
        command.arg("-a").arg(&self.socket).args(args);
        with_deadline(&mut command, Duration::from_secs(30)).unwrap_or_else(|why| panic!("{why}"))
    }

    /// As [`Containerd::ctr`], on a terminal, which ctr insists on for `-t`. No argument may need quotes.
    fn ctr_on_terminal(&self, args: &[&str]) -> Output {
        let line = format!("{} -a {} {}", self.ctr.display(), self.socket.display(), args.join(" "));
        let mut command = self.scratch.command("script");
        command.args(["-qec", &line, "/dev/null"]);
        with_deadline(&mut command, Duration::from_secs(30)).unwrap_or_else(|why| panic!("{why}"))
    }

    /// `ctr run FLAGS` of a container that runs `script`.
    fn run(&self, flags: &[&str], id: &str, script: &str) -> Output {
        let (fifos, rootfs) = (self.scratch.dir("fifo"), self.scratch.dir("rootfs"));
        let cgroup = format!("/{}-{id}", self.scratch.cgroup_prefix());
        let (fifos, rootfs) = (fifos.to_string_lossy(), rootfs.to_string_lossy());
        let mut args =
            vec!["run", "--runtime", RUNTIME, "--fifo-dir", &fifos, "--cgroup", &cgroup, "--env", "PATH=/bin"];
        args.extend_from_slice(flags);
        args.extend_from_slice(&["--rootfs", &rootfs, id, "sh", "-c", script]);
        self.ctr(&args)
    }

    fn exec(&self, id: &str, exec_id: &str, script: &str) -> Output {
        let fifos = self.scratch.dir("fifo");
        let fifos = fifos.to_string_lossy();
        self.ctr(&["task", "exec", "--fifo-dir", &fifos, "--exec-id", exec_id, id, "sh", "-c", script])
    }

    fn end(self) {
        let shims = || -> Vec<String> {
            let all = plimsoll_testkit::leak::all_processes().map(|(_, line)| line);
            all.filter(|line| line.contains("shim-plimsoll") && line.contains(&*self.socket.to_string_lossy()))
                .collect()
        };
        assert_eq!(none_left(shims), Vec::<String>::new());
        let others = || self.scratch.leftovers().into_iter().filter(|l| !l.contains("containerd -c")).collect();
        assert_eq!(none_left::<String>(others), Vec::<String>::new());
    }
}

#[test]
fn ctr_runs_containers_and_gets_their_output_and_codes() {
    containerds().into_iter().for_each(ctr_runs_containers_and_gets_their_output_and_codes_of);
}

fn ctr_runs_containers_and_gets_their_output_and_codes_of(names: [&'static str; 2]) {
    let containerd = Containerd::start(names);
    let seen = containerd.run(&["--rm"], &containerd.scratch.id("one"), "echo out; echo err >&2; exit 42");
    assert_eq!((seen.code, seen.stdout.as_str(), seen.stderr.contains("err")), (42, "out\n", true), "{seen:?}");
    std::thread::scope(|scope| {
        for number in 1..=50 {
            let containerd = &containerd;
            scope.spawn(move || {
                let id = containerd.scratch.id(&format!("many{number}"));
                let seen = containerd.run(&["--rm"], &id, &format!("echo {number}; exit {number}"));
                assert_eq!((seen.code, seen.stdout), (number, format!("{number}\n")), "{}", seen.stderr);
            });
        }
    });
    let missing = containerd.ctr(&["run", "--rm", "--runtime", RUNTIME, "--rootfs", "/no/such/rootfs", "x", "true"]);
    assert_ne!(missing.code, 0);
    containerd.end();
}

#[test]
fn a_containers_life_goes_on_while_containerd_is_dead() {
    containerds().into_iter().for_each(a_containers_life_goes_on_while_containerd_is_dead_of);
}

fn a_containers_life_goes_on_while_containerd_is_dead_of(names: [&'static str; 2]) {
    let mut containerd = Containerd::start(names);
    // The state of the runtime is one for all containerds of a machine.
    let id = containerd.scratch.id("life");
    let id = id.as_str();
    let seen = containerd.run(&["-d"], id, "trap 'exit 7' TERM; while :; do sleep 0.05; done");
    assert_eq!(seen.code, 0, "{seen:?}");
    if names == CONTAINERDS[1] {
        // What it took the answer for: an address alone would be version 2.
        let kept = format!("state/io.containerd.runtime.v2.task/default/{id}/bootstrap.json");
        let kept = std::fs::read_to_string(containerd.scratch.join(kept)).expect("the shim's answer");
        assert!(kept.contains("\"version\":3") && kept.contains("\"protocol\":\"ttrpc\""), "{kept}");
    }
    let seen = containerd.exec(id, "e1", "echo in; exit 3");
    assert_eq!((seen.code, seen.stdout.as_str()), (3, "in\n"), "{seen:?}");
    let metrics = containerd.ctr(&["task", "metrics", id]).ok();
    let processes = metrics.lines().find_map(|line| line.strip_prefix("pids.current")).map(str::trim);
    assert!(processes.is_some_and(|count| count == "1" || count == "2"), "sh, and sleep or not: {metrics}");
    containerd.kill_daemon();
    containerd.run_daemon();
    assert!(containerd.ctr(&["task", "ls"]).ok().contains("RUNNING"));
    assert_eq!(containerd.exec(id, "e2", "echo again").ok(), "again\n");
    containerd.ctr(&["task", "kill", "-s", "SIGTERM", id]).ok();
    until("its end", || containerd.ctr(&["task", "ls"]).ok().contains("STOPPED"));
    let removed = containerd.ctr(&["task", "rm", id]);
    assert!(removed.stderr.contains("exit with non-zero exit code 7"), "{removed:?}");
    containerd.ctr(&["container", "rm", id]).ok();
    containerd.end();
}

#[test]
fn ctr_gives_a_terminal() {
    containerds().into_iter().for_each(ctr_gives_a_terminal_of);
}

fn ctr_gives_a_terminal_of(names: [&'static str; 2]) {
    let containerd = Containerd::start(names);
    let id = containerd.scratch.id("tty");
    let id = id.as_str();
    assert_eq!(containerd.run(&["-d"], id, "sleep 1000").code, 0);
    let fifos = containerd.scratch.dir("fifo");
    let fifos = fifos.to_string_lossy();
    let args = ["task", "exec", "-t", "--fifo-dir", &fifos, "--exec-id", "t", id, "tty"];
    let seen = containerd.ctr_on_terminal(&args);
    assert!(seen.code == 0 && seen.stdout.contains("/dev/pts/0\r"), "{seen:?}");
    containerd.ctr(&["task", "kill", "-s", "SIGKILL", id]).ok();
    until("its end", || containerd.ctr(&["task", "ls"]).ok().contains("STOPPED"));
    // It says that the code is not 0 by its own code.
    assert!(containerd.ctr(&["task", "rm", id]).stderr.contains("137"));
    containerd.ctr(&["container", "rm", id]).ok();
    containerd.end();
}
