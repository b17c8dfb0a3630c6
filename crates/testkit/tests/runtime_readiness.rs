//! `NOTIFY_SOCKET` (sd_notify(3)): the runtime's supervisor learns that a container's program is ready, and nothing else of what
//! the container says; the same under runc and crun.
#![cfg(feature = "privileged")]

use plimsoll_testkit::compare::sh;
use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::wait::{LIMIT, until};
use plimsoll_testkit::{Bundle, Scratch, bundle, run};
use std::os::unix::net::UnixDatagram;
use std::path::Path;
use std::process::{Command, Stdio};

const OURS: Runtime = Runtime("plimrun");

/// A supervisor that listens, a bundle whose program sleeps, and the runtime's command line with `NOTIFY_SOCKET`.
struct Case {
    scratch: Scratch,
    made: Bundle,
    supervisor: UnixDatagram,
    runtime: Runtime,
    id: String,
}

impl Case {
    fn new(runtime: Runtime) -> Case {
        let scratch = Scratch::new();
        let mut made = bundle(&scratch);
        made.args(&["/bin/sleep", "1000"]);
        let supervisor = UnixDatagram::bind(scratch.join("supervisor")).expect("a socket");
        supervisor.set_read_timeout(Some(LIMIT)).expect("a limit");
        let id = scratch.id(runtime.0);
        Case { scratch, made, supervisor, runtime, id }
    }

    fn command(&self) -> Command {
        let mut command = self.runtime.command(&self.scratch);
        command.env("NOTIFY_SOCKET", self.scratch.join("supervisor")).stdin(Stdio::null());
        command
    }

    /// `run` or `create`, with the pid file that tells of the container's init.
    fn make(&self, words: &[&str]) -> Command {
        let mut command = self.command();
        command.args(words).arg("--bundle").arg(&self.made.path);
        command.arg("--pid-file").arg(self.scratch.join("pid")).arg(&self.id);
        command
    }

    fn pid(&self) -> i32 {
        let read = || std::fs::read_to_string(self.scratch.join("pid")).ok()?.trim().parse().ok();
        until("the pid file", || read().is_some());
        read().expect("a pid")
    }

    /// As the container's program does: at the socket that its environment names.
    fn say(&self, what: &str) {
        let pid = self.pid();
        let named = || {
            let environment = std::fs::read(format!("/proc/{pid}/environ")).ok()?;
            let entry = environment.split(|byte| *byte == 0).find_map(|entry| entry.strip_prefix(b"NOTIFY_SOCKET="))?;
            let entry = String::from_utf8_lossy(entry).into_owned();
            // Before the program is executed it is the runtime's own.
            (Path::new(&entry) != self.scratch.join("supervisor")).then_some(entry)
        };
        until("the program's environment", || named().is_some());
        let path = format!("/proc/{pid}/root{}", named().expect("a socket"));
        let socket = UnixDatagram::unbound().expect("a socket");
        until("the container's socket", || socket.send_to(what.as_bytes(), &path).is_ok());
    }

    /// The lines that the supervisor gets, sorted, up to the barrier of who means to end.
    fn told(&self) -> Vec<String> {
        let mut lines = Vec::new();
        let mut buffer = [0; 4096];
        loop {
            let length = self.supervisor.recv(&mut buffer).expect("a message to the supervisor");
            let text = String::from_utf8_lossy(&buffer[..length]).into_owned();
            if text == "BARRIER=1" {
                lines.sort();
                return lines;
            }
            lines.extend(text.lines().map(str::to_owned));
        }
    }

    fn delete(self) {
        let output = run(self.command().args(["delete", "--force", &self.id]));
        assert_eq!(output.code, 0, "{}: {}", self.runtime.0, output.stderr);
    }
}

/// As runc: the runtime ends, and the init becomes the unit's main process. crun leaves that to its caller.
fn ready_of(case: &Case) -> Vec<String> {
    let main = (case.runtime.0 != "crun").then(|| format!("MAINPID={}", case.pid()));
    main.into_iter().chain(["READY=1".to_owned()]).collect()
}

#[test]
fn a_detached_run_returns_when_the_program_is_ready() {
    for runtime in runtimes() {
        let mut case = Case::new(runtime);
        let mut command = case.make(&["run", "--detach"]);
        case.scratch.spawn(command.stdout(Stdio::null()).stderr(Stdio::null()));
        case.say("STATUS=on its way");
        case.say("READY=1");
        assert_eq!(case.told(), ready_of(&case), "{}", runtime.0);
        assert!(case.scratch.last_child().wait().expect("its end").success(), "{}", runtime.0);
        case.delete();
    }
}

#[test]
fn a_start_returns_when_the_program_is_ready() {
    for runtime in runtimes() {
        let mut case = Case::new(runtime);
        let output = run(&mut case.make(&["create"]));
        assert_eq!(output.code, 0, "{}: {}", runtime.0, output.stderr);
        let mut start = case.command();
        case.scratch.spawn(start.args(["start", &case.id]).stdout(Stdio::null()).stderr(Stdio::null()));
        case.say("READY=1");
        assert_eq!(case.told(), ready_of(&case), "{}", runtime.0);
        assert!(case.scratch.last_child().wait().expect("its end").success(), "{}", runtime.0);
        case.delete();
    }
}

/// The supervisor has the runtime itself for the unit's main process.
#[test]
fn in_the_foreground_no_other_process_is_named() {
    let mut case = Case::new(OURS);
    let mut command = case.make(&["run"]);
    case.scratch.spawn(&mut command);
    case.say("READY=1\nMAINPID=1\nSTOPPING=1");
    assert_eq!(case.told(), ["READY=1"]);
    run(case.command().args(["kill", &case.id, "KILL"])).ok();
    assert_eq!(case.scratch.last_child().wait().expect("its end").code(), Some(137));
}

#[test]
fn a_program_with_a_terminal_can_say_it_too() {
    let mut case = Case::new(OURS);
    case.made.set("/process/terminal", serde_json::json!(true));
    let mut command = case.make(&["run"]);
    case.scratch.spawn(command.stdout(Stdio::null()));
    case.say("READY=1");
    assert_eq!(case.told(), ["READY=1"]);
    run(case.command().args(["kill", &case.id, "KILL"])).ok();
    assert_eq!(case.scratch.last_child().wait().expect("its end").code(), Some(137));
}

#[test]
fn a_program_that_ends_before_it_is_ready_is_not_waited_for() {
    for terminal in [false, true] {
        let mut case = Case::new(OURS);
        case.made.set("/process/terminal", serde_json::json!(terminal));
        sh(&mut case.made, "exit 3");
        let output = run(&mut case.make(&["run"]));
        assert_eq!((output.code, output.stderr.as_str()), (3, ""));
    }
    let mut case = Case::new(OURS);
    sh(&mut case.made, "exit 3");
    run(&mut case.make(&["run", "--detach"])).ok();
    case.delete();
}

/// What it sees: a folder that it cannot write to, with the socket alone.
#[test]
fn the_supervisors_own_socket_is_not_given_away() {
    let mut case = Case::new(OURS);
    sh(&mut case.made, "echo $NOTIFY_SOCKET; ls -A /run/notify; touch /run/notify/x 2>/dev/null || echo read-only");
    let output = run(&mut case.make(&["run"]));
    assert_eq!(output.ok(), "/run/notify/notify.sock\nnotify.sock\nread-only\n");
}

#[test]
fn a_supervisor_that_is_gone_is_warned_of() {
    let mut case = Case::new(OURS);
    sh(&mut case.made, "exit 3");
    std::fs::remove_file(case.scratch.join("supervisor")).expect("removed");
    let output = run(&mut case.make(&["run"]));
    assert_eq!(output.code, 3);
    assert!(output.stderr.contains("NOTIFY_SOCKET"), "{}", output.stderr);
}
