//! plimrun is killed by SIGKILL at its n-th system call, for every n: `delete --force` then cleans up, and the host is as it
//! was. `PLIMSOLL_EVERY=1` kills at every one (`./dev conformance` does); without it a sample, evenly spread. And it is held up
//! at a call, while others look.
#![cfg(feature = "privileged")]

use plimsoll_testkit::contract::Subject;
use plimsoll_testkit::runtimes::Runtime;
use plimsoll_testkit::{run, until};
use std::fs::File;
use std::path::Path;
use std::process::{Command, Stdio};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

/// How many kills of each verb a run without `PLIMSOLL_EVERY` makes.
const SAMPLE: usize = 40;
/// How many at a time.
const WIDTH: usize = 3;

/// A verb up to which a container is brought, and the arguments of the one that is killed.
#[derive(Clone, Copy, Debug)]
enum Verb {
    Create,
    /// In the cgroup of a container that runs.
    CreateBeside,
    Start,
    Delete,
}

/// A container brought to where the verb can be called.
fn before(verb: Verb) -> Subject {
    let mut subject = Subject::new(Runtime("plimrun"));
    subject.bundle.args(&["sleep", "1000"]);
    if matches!(verb, Verb::Start | Verb::Delete) {
        subject.create().ok();
    }
    if matches!(verb, Verb::Delete) {
        subject.of(&["start"]).ok();
    }
    if matches!(verb, Verb::CreateBeside) {
        subject.verb(&["run", "--detach", "--bundle", &subject.bundle_path(), &beside(&subject)]).ok();
    }
    subject
}

/// The id of the container in whose cgroup another is made.
fn beside(subject: &Subject) -> String {
    format!("{}-beside", subject.id)
}

/// The verb under strace, which follows plimrun alone: the container's process lives or dies by its own rules.
fn traced(subject: &Subject, verb: Verb, flags: &[&str]) -> Command {
    let inner = subject.runtime.command(&subject.scratch);
    let mut command = subject.scratch.command("strace");
    command.args(["-qq", "-o"]).arg(subject.scratch.join("trace")).args(flags);
    command.arg(inner.get_program()).args(inner.get_args());
    match verb {
        Verb::Create | Verb::CreateBeside => command.args(["create", "--bundle"]).arg(&subject.bundle.path),
        Verb::Start => command.arg("start"),
        Verb::Delete => command.args(["delete", "--force"]),
    };
    command.arg(&subject.id);
    command
}

/// How many system calls the verb makes when nobody kills it.
fn calls(verb: Verb) -> usize {
    let subject = before(verb);
    let got = run(&mut traced(&subject, verb, &[]));
    // It is refused, late enough: after the cgroup has been looked at.
    assert_eq!(got.code == 0, !matches!(verb, Verb::CreateBeside), "{verb:?}: {}", got.stderr);
    let trace = std::fs::read_to_string(subject.scratch.join("trace")).expect("strace wrote");
    drop(subject.of(&["delete", "--force"]));
    drop(subject.verb(&["delete", "--force", &beside(&subject)]));
    trace.lines().filter(|line| line.contains('(')).count()
}

/// Kills the verb at its `n`-th call, cleans up by `delete --force`, and says what is wrong then.
fn killed(verb: Verb, n: usize) -> Option<String> {
    let subject = before(verb);
    let inject = format!("--inject=all:signal=KILL:when={n}");
    let got = run(&mut traced(&subject, verb, &[&inject]));
    let trace = std::fs::read_to_string(subject.scratch.join("trace")).unwrap_or_default();
    let last = trace.lines().rev().find(|line| !line.starts_with("+++")).unwrap_or_default().to_owned();
    let mut wrong = Vec::new();
    let runs = matches!(verb, Verb::Start) && program_runs(&subject);
    if runs && subject.status() == "created" {
        wrong.push("its program runs, and it is said to be created".to_owned());
    }
    let deleted = subject.of(&["delete", "--force"]);
    if matches!(verb, Verb::CreateBeside) {
        let status = subject.verb(&["state", &beside(&subject)]).stdout;
        if !status.contains("\"running\"") {
            wrong.push("the other container of the cgroup runs no more".to_owned());
        }
        subject.verb(&["delete", "--force", &beside(&subject)]).ok();
    }
    wrong.extend(subject.leftovers());
    let states = std::fs::read_dir(subject.scratch.dir("root-plimrun")).expect("the root");
    wrong.extend(states.flatten().map(|entry| format!("state {}", entry.path().display())));
    if deleted.code != 0 {
        wrong.push(format!("delete --force: {}", deleted.stderr));
    }
    (!wrong.is_empty())
        .then(|| format!("{verb:?} killed at call {n} ({}): {wrong:?}; it had ended with {}", cut(&last), got.code))
}

/// Whether the container's init is the program and no longer the runtime.
fn program_runs(subject: &Subject) -> bool {
    let pid = subject.state()["pid"].as_i64().unwrap_or_default();
    std::fs::read_to_string(format!("/proc/{pid}/comm")).is_ok_and(|name| name.trim() == "sleep")
}

fn cut(line: &str) -> String {
    line.chars().take(120).collect()
}

fn need_strace() {
    assert!(Path::new("/usr/bin/strace").exists(), "strace is not here: apt-get install strace (./dev test does)");
}

/// Every `n`, or an even sample of them; nothing may be wrong after any.
fn at_every_call(verb: Verb) {
    need_strace();
    let count = calls(verb);
    let every = std::env::var("PLIMSOLL_EVERY").ok().and_then(|text| text.parse().ok());
    let step = every.unwrap_or_else(|| count.div_ceil(SAMPLE)).max(1);
    let points: Vec<usize> = (1..=count).step_by(step).collect();
    let (next, wrong) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..WIDTH {
            scope.spawn(|| {
                while let Some(n) = points.get(next.fetch_add(1, Ordering::Relaxed)) {
                    wrong.lock().expect("no panic").extend(killed(verb, *n));
                }
            });
        }
    });
    let wrong = wrong.into_inner().expect("no panic");
    assert!(wrong.is_empty(), "{} of {} kills:\n{}", wrong.len(), points.len(), wrong.join("\n"));
}

#[test]
fn create_killed_at_every_call() {
    at_every_call(Verb::Create);
}

/// What is cleaned up is the killed one's alone.
#[test]
fn create_killed_where_somebody_else_runs() {
    at_every_call(Verb::CreateBeside);
}

#[test]
fn start_killed_at_every_call() {
    at_every_call(Verb::Start);
}

#[test]
fn delete_killed_at_every_call() {
    at_every_call(Verb::Delete);
}

/// Who sees what a program writes can ask for its container, however late `run` keeps what it knows.
#[test]
fn a_container_whose_program_runs_is_known() {
    need_strace();
    let mut subject = Subject::new(Runtime("plimrun"));
    subject.script("echo ready; exec sleep 1000");
    let out = subject.scratch.join("ready");
    let inner = subject.runtime.command(&subject.scratch);
    let mut command = subject.scratch.command("strace");
    command.args(["-qq", "-e", "trace=/^rename", "-e", "inject=/^rename:delay_enter=1500000", "-o", "/dev/null"]);
    command.arg(inner.get_program()).args(inner.get_args()).args(["run", "--bundle"]).arg(&subject.bundle.path);
    command.arg(&subject.id).stdin(Stdio::null()).stdout(File::create(&out).expect("a file"));
    subject.scratch.spawn(&mut command);
    until("the program", || std::fs::read_to_string(&out).is_ok_and(|text| text == "ready\n"));
    let state = subject.of(&["state"]).ok();
    assert!(state.contains("running"), "{state}");
    subject.verb(&["kill", &subject.id, "KILL"]).ok();
    until("the end of run", || subject.scratch.last_child().try_wait().expect("a child").is_some());
}
