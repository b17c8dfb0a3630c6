//! `./dev bench`: prints the figures as Markdown; `--write FILE` also puts them between the marks in that file.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A program: its output is what it is for.

use plimsoll_testkit::bench::start::{self, Layout};
use plimsoll_testkit::bench::{memory, table};
use std::process::ExitCode;

const USAGE: &str = "usage: bench [--rounds N] [--no-memory] [--write FILE]";
const BEGIN: &str = "<!-- figures: written by ./dev bench -->\n";
const END: &str = "<!-- end of figures -->\n";

struct Options {
    rounds: u32,
    memory: bool,
    write: Option<String>,
}

fn main() -> ExitCode {
    let args: Vec<String> = std::env::args().skip(1).collect();
    if let [mode, layout, rounds] = args.as_slice()
        && mode == "--measure"
    {
        let (series, gate) = start::measure(layout, rounds.parse().unwrap_or(1));
        println!("{}", serde_json::json!([series, [gate.checks, gate.waited, gate.noisy]]));
        return ExitCode::SUCCESS;
    }
    let done = options(args).and_then(|options| report(&options));
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

fn options(args: Vec<String>) -> Result<Options, String> {
    let mut options = Options { rounds: 30, memory: true, write: None };
    let mut args = args.into_iter();
    while let Some(arg) = args.next() {
        match arg.as_str() {
            "--rounds" => options.rounds = args.next().and_then(|n| n.parse().ok()).ok_or(USAGE)?,
            "--no-memory" => options.memory = false,
            "--write" => options.write = Some(args.next().ok_or(USAGE)?),
            _ => return Err(USAGE.to_owned()),
        }
    }
    Ok(options)
}

fn report(options: &Options) -> Result<(), String> {
    let mut out = table::heading(&start::versions());
    for layout in [Layout::V1, Layout::V2] {
        eprintln!("bench: {} rounds on the {} layout", options.rounds, layout.name());
        let (series, gate) = start::in_layout(layout, options.rounds)?;
        out.push('\n');
        out.push_str(&table::starts(layout, &series, gate));
    }
    if options.memory {
        out.push('\n');
        out.push_str(&table::memory(&memory::of_a_pod()));
    }
    print!("{out}");
    options.write.as_deref().map_or(Ok(()), |file| write(file, &out))
}

fn write(file: &str, figures: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let (before, rest) = text.split_once(BEGIN).ok_or_else(|| format!("{file} has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("{file} has no line {END}"))?;
    std::fs::write(file, format!("{before}{BEGIN}\n{figures}\n{END}{after}"))
        .map_err(|error| format!("{file}: {error}"))
}
