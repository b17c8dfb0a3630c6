//! A file a verb.

mod create;
mod delete;
mod events;
mod exec;
mod features;
mod foreground;
mod help;
mod kill;
mod list;
mod pause;
mod ps;
mod ready;
mod run;
mod spec;
mod start;
mod state;
mod update;

use crate::args::{Global, usage};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::signals;
use std::ffi::OsString;
use std::process::ExitCode;

/// runc's verbs that are known and not there.
const LATER: [&str; 3] = ["checkpoint", "restore", "init"];

/// Verbs that do nothing but print.
const SAYING: [&str; 8] = ["events", "features", "help", "list", "ps", "spec", "state", "version"];

pub(crate) fn dispatch(global: &Global, verb: &str, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    if help::is_wanted(verb, &words) {
        return help::of(verb);
    }
    if SAYING.contains(&verb) {
        signals::end_by_broken_pipe().map_err(|error| {
            Fault::new(Layer::OciRuntime, "parse", "cannot reset SIGPIPE").because(&std::io::Error::from(error))
        })?;
    }
    match verb {
        "create" => create::run(global, words),
        "delete" => delete::run(global, words),
        "events" => events::run(global, words),
        "exec" => exec::run(global, words),
        "features" => features::run(words),
        "help" => help::help(),
        "kill" => kill::run(global, words),
        "list" => list::run(global, words),
        "pause" => pause::pause(global, words),
        "ps" => ps::run(global, words),
        "resume" => pause::resume(global, words),
        "run" => run::run(global, words),
        "spec" => spec::run(words),
        "start" => start::run(global, words),
        "state" => state::run(global, words),
        "update" => update::run(global, words),
        "version" => help::version(),
        later if LATER.contains(&later) => {
            let fault = Fault::new(Layer::OciRuntime, "parse", format!("{later} is not implemented"));
            Err(fault.kind(Kind::Unimplemented).hint("plimrun --help lists the commands that there are"))
        }
        other => Err(usage(format!("unknown command {other:?}"))),
    }
}

/// What a verb prints as JSON: indented by two, as runc does.
fn print_json(value: &impl serde::Serialize) -> Result<ExitCode, Fault> {
    let text = serde_json::to_string_pretty(value)
        .map_err(|error| Fault::new(Layer::OciRuntime, "print", "cannot write JSON").because(&error))?;
    println!("{text}");
    Ok(ExitCode::SUCCESS)
}
