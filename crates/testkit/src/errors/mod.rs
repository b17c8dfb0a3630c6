//! Broken configs and what each runtime says of them: the table of `docs/contracts/errors.md`, and the cases of its test.

mod cases;

pub use cases::{Case, cases};

use crate::run::run;
use crate::runtimes::Runtime;
use crate::{Bundle, Scratch, bundle};
use serde_json::Value;
use std::fmt::Write;

/// How one runtime ended with one broken config.
#[derive(Debug)]
pub struct Told {
    pub code: i32,
    /// One line, with what differs from run to run made equal.
    pub message: String,
    /// Of plimrun: the fault of the last log line.
    pub fault: Value,
}

/// Runs the case's bundle to its end.
///
/// # Panics
/// When the runtime cannot be started or hangs.
pub fn tell(runtime: Runtime, case: &Case) -> (Scratch, Told) {
    let scratch = Scratch::new();
    let mut made = bundle(&scratch);
    (case.spoil)(&scratch, &mut made);
    let log = scratch.join("log");
    let mut command = runtime.command(&scratch);
    command.arg("--log").arg(&log).args(["--log-format", "json", "run", "--bundle"]).arg(&made.path);
    let output = run(command.arg(scratch.id(runtime.0)));
    let text = std::fs::read_to_string(&log).unwrap_or_default();
    let last: Value = text.lines().rev().find_map(|line| serde_json::from_str(line).ok()).unwrap_or_default();
    // crun's program writes its own last line to standard error, as JSON.
    let other: Value = serde_json::from_str(&output.stderr).unwrap_or_default();
    let said = last["msg"].as_str().or(other["msg"].as_str()).unwrap_or(&output.stderr).to_owned();
    let message = equal(&said, &scratch, &made, runtime);
    let fault = last["fault"].clone();
    (scratch, Told { code: output.code, message, fault })
}

/// Folders, ids and numbers of processes and descriptors differ from run to run.
fn equal(said: &str, scratch: &Scratch, made: &Bundle, runtime: Runtime) -> String {
    let cgroup = made.config.pointer("/linux/cgroupsPath").and_then(Value::as_str).unwrap_or("/none");
    let mut text = said.trim().replace(&made.path.display().to_string(), "/bundle");
    for (from, to) in [
        (scratch.path().display().to_string(), "/scratch".to_owned()),
        (scratch.id(runtime.0), "ID".to_owned()),
        (cgroup.to_owned(), "/group".to_owned()),
        (scratch.cgroup_prefix(), "group".to_owned()),
    ] {
        text = text.replace(&from, &to);
    }
    for before in ["/fd/", "/proc/", "nsexec["] {
        text = without_number(&text, before);
    }
    text.split_whitespace().collect::<Vec<_>>().join(" ")
}

/// A number right behind `before` becomes N.
fn without_number(text: &str, before: &str) -> String {
    let mut parts = text.split(before);
    let mut out = parts.next().unwrap_or_default().to_owned();
    for part in parts {
        let rest = part.trim_start_matches(|c: char| c.is_ascii_digit());
        out.push_str(before);
        out.push_str(if rest.len() < part.len() { "N" } else { "" });
        out.push_str(rest);
    }
    out
}

const HEAD: &str = "\
# Errors: what a broken config gets

Each row is a working bundle with one thing broken, `run` under plimrun, runc and crun of the versions that
`crates/testkit/peers/go.mod` names; what is after *says* is the last message of the log. Every one of ours is one line, names the JSON
pointer where a field of the config is to blame, and carries layer, phase and kind for programs; nothing is left of the container. This
page is written by `target/debug/errors --write docs/contracts/errors.md`, compared by `./dev conformance`, and its rows are asserted by
`crates/testkit/tests/runtime_errors.rs`.
";

/// The whole page.
///
/// # Panics
/// When a runtime cannot be started or hangs.
pub fn page(runtimes: &[Runtime]) -> String {
    let mut out = HEAD.to_owned();
    for (number, case) in cases().iter().enumerate() {
        writeln!(out, "\n## {}. {}\n", number + 1, case.name).expect("writes to a string");
        out.push_str("| runtime | exit | says |\n|---|---|---|\n");
        for runtime in runtimes {
            let (_scratch, told) = tell(*runtime, case);
            let message = if told.code == 0 && told.message.is_empty() { "(takes it)" } else { &told.message };
            let message = message.replace('|', "\\|");
            writeln!(out, "| {} | {} | {message} |", runtime.0, told.code).expect("writes to a string");
        }
    }
    out
}
