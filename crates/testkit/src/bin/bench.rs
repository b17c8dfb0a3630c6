//! `./dev bench`: prints the figures as Markdown; `--write FILE` also puts them between the marks in that file.

#![allow(clippy::print_stdout, clippy::print_stderr)] // A program: its output is what it is for.

use plimsoll_testkit::Scratch;
use plimsoll_testkit::bench::anatomy::Phases;
use plimsoll_testkit::bench::contender::Contender;
use plimsoll_testkit::bench::crowd::Crowd;
use plimsoll_testkit::bench::gate::Gate;
use plimsoll_testkit::bench::layout::{Layout, inside};
use plimsoll_testkit::bench::timed::Series;
use plimsoll_testkit::bench::{anatomy, crowd, exec, memory, start, table, timed};
use serde::de::DeserializeOwned;
use std::fmt::Write;
use std::path::Path;
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
    let words: Vec<&str> = args.iter().map(String::as_str).collect();
    let done = match words.as_slice() {
        ["--measure", what, layout, rounds, state] => measure(what, layout, rounds, Path::new(state)),
        _ => options(args).and_then(|options| report(&options)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(why) => {
            eprintln!("bench: {why}");
            ExitCode::FAILURE
        }
    }
}

/// Called by this program in a mount namespace of its own: prints JSON for [`within`].
fn measure(what: &str, layout: &str, rounds: &str, state: &Path) -> Result<(), String> {
    let layout = Layout::named(layout).ok_or(USAGE)?;
    let rounds = rounds.parse().map_err(|_| USAGE)?;
    let found = match what {
        "start" => serde_json::json!(start::measure(layout, rounds, state)),
        "exec" => serde_json::json!(exec::measure(rounds, state)),
        "crowd" => serde_json::json!(crowd::measure(rounds, state)),
        "anatomy" => serde_json::json!(anatomy::measure(rounds, state)?),
        _ => return Err(USAGE.to_owned()),
    };
    println!("{found}");
    Ok(())
}

fn options(args: Vec<String>) -> Result<Options, String> {
    let mut options = Options { rounds: 100, memory: true, write: None };
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

fn within<T: DeserializeOwned>(what: &str, layout: Layout, rounds: u32) -> Result<T, String> {
    eprintln!("bench: {what}, {} layout, {rounds}", layout.name());
    let scratch = Scratch::new();
    let text = inside(layout, &scratch, &["--measure", what, layout.name(), &rounds.to_string()])?;
    serde_json::from_slice(&text).map_err(|error| format!("{what}: {error}"))
}

fn report(options: &Options) -> Result<(), String> {
    let versions: Vec<String> = Contender::all().iter().map(Contender::version).collect();
    let mut out = table::heading(&versions);
    let rounds = options.rounds;
    for layout in [Layout::V1, Layout::V2] {
        let found: (Vec<Series>, Gate) = within("start", layout, rounds)?;
        section(&mut out, &format!("`run` of /bin/true, cgroup {} layout", layout.name()), &how(rounds, found.1));
        out.push_str(&timed::table(&found.0));
    }
    let found: (Vec<Series>, Gate) = within("exec", Layout::V2, rounds)?;
    section(&mut out, "`exec` of /bin/true, cgroup v2 layout", &how(rounds, found.1));
    out.push_str(&timed::table(&found.0));
    match within::<(Vec<Phases>, Vec<Phases>)>("anatomy", Layout::V2, rounds.min(40)) {
        Ok((ours, floor)) => {
            let note = "Medians from the kernel's trace, which slows both down a little.";
            section(&mut out, "Where the time of `run` goes, cgroup v2 layout", note);
            out.push_str(&anatomy::table(&ours, &floor));
        }
        Err(why) => eprintln!("bench: left out: where the time goes: {why}"),
    }
    let found: Vec<Crowd> = within("crowd", Layout::V2, 200)?;
    section(
        &mut out,
        "200 containers by 8 callers, cgroup v2 layout",
        "`run` of /bin/true, one runtime after the other.",
    );
    out.push_str(&crowd::table(&found));
    if options.memory {
        section(&mut out, "Memory with one pod of one container", "");
        out.push_str(&table::memory(&memory::of_a_pod()));
    }
    print!("{out}");
    options.write.as_deref().map_or(Ok(()), |file| write(file, &out))
}

fn section(out: &mut String, title: &str, note: &str) {
    let gap = if note.is_empty() { "" } else { "\n\n" };
    write!(out, "\n### {title}\n\n{note}{gap}").expect("writing to a string cannot fail");
}

fn how(rounds: u32, gate: Gate) -> String {
    let Gate { checks, waited, noisy } = gate;
    format!(
        "{rounds} rounds in turn, each run after 60 ms of quiet ({checks} checks, {waited} waited, {noisy} still noisy)."
    )
}

fn write(file: &str, figures: &str) -> Result<(), String> {
    let text = std::fs::read_to_string(file).map_err(|error| format!("{file}: {error}"))?;
    let (before, rest) = text.split_once(BEGIN).ok_or_else(|| format!("{file} has no line {BEGIN}"))?;
    let (_, after) = rest.split_once(END).ok_or_else(|| format!("{file} has no line {END}"))?;
    std::fs::write(file, format!("{before}{BEGIN}\n{figures}\n{END}{after}"))
        .map_err(|error| format!("{file}: {error}"))
}
