//! Runs the contract suite on every runtime that is here. `contract [--write FILE] [AREA]`: says what failed, and writes the
//! table of verdicts. Its code is 1 when plimrun fails a case.

use plimsoll_testkit::contract::{self, table, verdict};
use plimsoll_testkit::peers;
use plimsoll_testkit::run;
use plimsoll_testkit::runtimes::Runtime;
use std::io::Write;
use std::process::{Command, ExitCode};

fn main() -> ExitCode {
    let mut file = None;
    let mut only = None;
    let mut args = std::env::args().skip(1);
    while let Some(arg) = args.next() {
        if arg == "--write" { file = args.next() } else { only = Some(arg) }
    }
    let here = |runtime: &Runtime| runtime.0 == "plimrun" || peers::find(runtime.0).inspect_err(|why| say(why)).is_ok();
    let runtimes: Vec<Runtime> = ["plimrun", "runc", "crun", "youki"].map(Runtime).into_iter().filter(here).collect();
    if let Some(area) = only {
        let cases = contract::area(&area);
        let verdicts = verdict::all(&cases, &runtimes, 3);
        return report(&[table::Results { area: "", cases, verdicts }]);
    }
    let results = table::results(&runtimes, 3);
    if let Some(file) = file {
        let titles: Vec<String> = runtimes.iter().map(|it| format!("{} {}", it.0, version(it))).collect();
        let kept = if runtimes.iter().any(|it| it.0 == "youki") { None } else { kept(&file) };
        if let Err(error) = std::fs::write(&file, table::page(&results, &titles, kept.as_ref())) {
            say(&format!("{file}: {error}"));
            return ExitCode::FAILURE;
        }
    }
    report(&results)
}

/// What the page that is there says of youki.
fn kept(file: &str) -> Option<table::Kept> {
    table::Kept::read(&std::fs::read_to_string(file).ok()?, "youki")
}

/// The number in the first line of `--version`.
fn version(runtime: &Runtime) -> String {
    let text = run(Command::new(runtime.program()).arg("--version")).stdout;
    let numbered = |word: &&str| word.trim_start_matches('v').starts_with(|c: char| c.is_ascii_digit());
    text.split_whitespace().find(numbered).unwrap_or("?").to_owned()
}

fn report(results: &[table::Results]) -> ExitCode {
    let mut failed = false;
    for (case, verdicts) in results.iter().flat_map(|area| area.cases.iter().zip(&area.verdicts)) {
        for verdict in verdicts.iter().filter(|verdict| !verdict.passed) {
            failed |= verdict.runtime == "plimrun";
            let (seen, said) = (verdict.seen.trim_end(), verdict.said.trim_end());
            say(&format!(
                "{} {}: expected {:?}, seen {seen:?}; said {said:?}",
                verdict.runtime, case.name, case.expected
            ));
        }
    }
    if failed { ExitCode::FAILURE } else { ExitCode::SUCCESS }
}

fn say(text: &str) {
    // Standard error itself is the last resort.
    drop(writeln!(std::io::stderr(), "{text}"));
}
