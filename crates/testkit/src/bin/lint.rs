//! `./dev lint`'s own rules, which clippy and cargo-deny cannot say: the direction of dependencies, where `unsafe` may be,
//! files' length, and words that must not be in the project's files.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program: its output is what it is for")]

use plimsoll_testkit::lint;
use std::process::ExitCode;

fn main() -> ExitCode {
    let mut problems = Vec::new();
    problems.extend(lint::direction());
    problems.extend(lint::executors());
    problems.extend(lint::unsafe_code());
    problems.extend(lint::words());
    let (median, p90, long) = lint::file_lengths();
    println!("lint: files without tests: median {median} lines, 90 % have at most {p90} (goals 120, 350)");
    for (path, lines) in long {
        println!("lint: note: {path} has {lines} lines (rule: 400)");
    }
    for problem in &problems {
        eprintln!("lint: {problem}");
    }
    if problems.is_empty() {
        println!("lint: dependency direction, executors, unsafe and words are as they must be");
        return ExitCode::SUCCESS;
    }
    ExitCode::FAILURE
}
