//! Writes the page of error messages, or compares it: `errors --write FILE`, `errors --check FILE`.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A program: its output is what it is for.

use plimsoll_testkit::errors::page;
use plimsoll_testkit::runtimes::runtimes;
use std::process::ExitCode;

fn main() -> ExitCode {
    let words: Vec<String> = std::env::args().skip(1).collect();
    let done = match words.iter().map(String::as_str).collect::<Vec<_>>().as_slice() {
        ["--write", file] => std::fs::write(file, page(&runtimes())).map_err(|error| format!("{file}: {error}")),
        ["--check", file] => check(file),
        _ => Err("usage: errors --write FILE | --check FILE".to_owned()),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("errors: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Line by line, so that what differs is seen.
fn check(file: &str) -> Result<(), String> {
    let kept = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let now = page(&runtimes());
    let mut different = 0;
    for (old, new) in kept.lines().zip(now.lines()).filter(|(old, new)| old != new) {
        println!("- {old}\n+ {new}");
        different += 1;
    }
    if different == 0 && kept.lines().count() == now.lines().count() {
        return Ok(());
    }
    Err(format!("{file} is not what the runtimes say now: write it anew with --write"))
}
