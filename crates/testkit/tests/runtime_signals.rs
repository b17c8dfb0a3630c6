//! Signals and terminals: `kill`, and what `run` passes on, under plimrun, runc and crun.
#![cfg(feature = "privileged")]

use plimsoll_testkit::compare::sh;
use plimsoll_testkit::runtimes::{Runtime, runtimes};
use plimsoll_testkit::{Bundle, Scratch, bundle, until};
use serde_json::json;
use std::process::Stdio;

/// Starts `run` in the background and waits until the container wrote "ready".
fn running(runtime: Runtime, scratch: &mut Scratch, made: &Bundle) -> (u32, std::path::PathBuf) {
    let log = output(runtime, scratch);
    let file = std::fs::File::create(&log).expect("a file");
    let mut command = runtime.command(scratch);
    command.arg("run").arg("--bundle").arg(&made.path).arg(scratch.id(runtime.0));
    command.stdin(Stdio::null()).stdout(file);
    let pid = scratch.spawn(&mut command).id();
    until(runtime.0, || wrote(runtime, scratch, "ready\n"));
    (pid, log)
}

fn output(runtime: Runtime, scratch: &Scratch) -> std::path::PathBuf {
    scratch.join(format!("out-{}", runtime.0))
}

fn wrote(runtime: Runtime, scratch: &Scratch, what: &str) -> bool {
    std::fs::read_to_string(output(runtime, scratch)).is_ok_and(|text| text.contains(what))
}

const TRAP: &str =
    "trap 'echo got TERM; exit 3' TERM; trap 'echo got USR1' USR1; echo ready; while :; do sleep 0.05; done";

/// What the container wrote and how `run` ended, after `act` sent what it sends.
fn signalled(act: impl Fn(Runtime, &Scratch, u32)) -> Vec<(Option<i32>, String)> {
    runtimes()
        .into_iter()
        .map(|runtime| {
            let mut scratch = Scratch::new();
            let mut made = bundle(&scratch);
            made.set("/ociVersion", json!("1.0.2"));
            sh(&mut made, TRAP);
            let (pid, log) = running(runtime, &mut scratch, &made);
            act(runtime, &scratch, pid);
            let mut ended = None;
            until(runtime.0, || {
                ended = scratch.last_child().try_wait().expect("a child");
                ended.is_some()
            });
            (ended.and_then(|status| status.code()), std::fs::read_to_string(log).expect("the output"))
        })
        .collect()
}

#[test]
fn kill_sends_signals() {
    let seen = signalled(|runtime, scratch, _| {
        let id = scratch.id(runtime.0);
        plimsoll_testkit::run(runtime.command(scratch).args(["kill", &id, "USR1"])).ok();
        until("the first signal", || wrote(runtime, scratch, "USR1\n"));
        plimsoll_testkit::run(runtime.command(scratch).args(["kill", &id, "SIGTERM"])).ok();
    });
    for one in &seen {
        assert_eq!(*one, (Some(3), "ready\ngot USR1\ngot TERM\n".to_owned()), "{seen:?}");
    }
}

#[test]
fn kill_by_number_gives_137() {
    let seen = signalled(|runtime, scratch, _| {
        plimsoll_testkit::run(runtime.command(scratch).args(["kill", &scratch.id(runtime.0), "9"])).ok();
    });
    for one in &seen {
        assert_eq!(*one, (Some(137), "ready\n".to_owned()), "{seen:?}");
    }
}

#[test]
fn run_forwards_signals_to_the_container() {
    let seen = signalled(|_, _, pid| {
        assert!(std::process::Command::new("kill").args(["-TERM", &pid.to_string()]).status().expect("kill").success());
    });
    for one in &seen {
        assert_eq!(*one, (Some(3), "ready\ngot TERM\n".to_owned()), "{seen:?}");
    }
}

/// `script` gives the runtime a terminal, as a person at a shell would.
#[test]
fn a_terminal() {
    let results: Vec<(i32, String)> = runtimes()
        .into_iter()
        .map(|runtime| {
            let scratch = Scratch::new();
            let mut made = bundle(&scratch);
            made.set("/ociVersion", json!("1.0.2"));
            made.set("/process/terminal", json!(true));
            sh(&mut made, "tty; stat -c %t:%a $(tty); test -c /dev/console && echo console; exit 7");
            let mut inner = runtime.command(&scratch);
            inner.arg("run").arg("--bundle").arg(&made.path).arg(scratch.id(runtime.0));
            let line: Vec<String> = std::iter::once(inner.get_program())
                .chain(inner.get_args())
                .map(|word| format!("'{}'", word.to_string_lossy()))
                .collect();
            let mut script = scratch.command("script");
            script.args(["-qec", &format!("stty rows 33 cols 77; {}", line.join(" ")), "/dev/null"]);
            let output = plimsoll_testkit::run(&mut script);
            (output.code, output.stdout.replace(['\r'], "").replace("^@", ""))
        })
        .collect();
    assert!(results.iter().all(|one| *one == results[0]), "{results:?}");
    assert_eq!(results[0].0, 7);
    assert!(results[0].1.contains("/dev/pts/0\n88:620\nconsole\n"), "{}", results[0].1);
}
