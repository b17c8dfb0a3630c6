//! `leaks save FILE` before a run, `leaks check FILE` after it: what of ours is on the machine now and was not before.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program: its output is what it is for")]

use plimsoll_testkit::leak::Snapshot;
use plimsoll_testkit::none_left;
use std::process::ExitCode;

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    match args.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["save", file] => save(file),
        ["check", file] => check(file),
        _ => {
            eprintln!("usage: leaks save|check FILE");
            ExitCode::from(2)
        }
    }
}

fn save(file: &str) -> ExitCode {
    let lines: Vec<String> = Snapshot::take().0.into_iter().collect();
    match std::fs::write(file, lines.join("\n")) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            eprintln!("leaks: {file}: {error}");
            ExitCode::FAILURE
        }
    }
}

fn check(file: &str) -> ExitCode {
    let text = std::fs::read_to_string(file).unwrap_or_default();
    let before = Snapshot(text.lines().map(str::to_owned).collect());
    // The kernel takes network namespaces and their links down a moment after the last process.
    let left = none_left(|| before.since());
    if left.is_empty() {
        println!("leaks: no mount, network namespace, link, cgroup or process is left");
        return ExitCode::SUCCESS;
    }
    eprintln!("leaks: LEFT BEHIND:\n  {}", left.join("\n  "));
    ExitCode::FAILURE
}
