//! `plimrun events [--stats] [--interval DURATION] ID`: a JSON object a line, as runc's: `{"type":"stats"|"oom","id":…,"data":…}`.

use crate::args::{Flag, Global, parse, usage};
use plimsoll_fault::{Fault, Layer};
use plimsoll_runtime::{Happened, OomWatch, Root, stats};
use serde_json::{Value, json};
use std::ffi::OsString;
use std::io::Write;
use std::process::ExitCode;
use std::time::{Duration, Instant};

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[Flag::Switch("stats"), Flag::Value("interval")], words, usize::MAX)?;
    let id = parsed.only_id()?;
    let interval = match parsed.value("interval") {
        None => Duration::from_secs(5),
        Some(text) => duration(text).ok_or_else(|| usage(format!("--interval: {text:?} is not a duration")))?,
    };
    if interval.is_zero() {
        return Err(usage("duration interval must be greater than 0"));
    }
    let root = global.root()?;
    if parsed.has("stats") {
        figures(&root, id)?;
    } else {
        follow(global, &root, id, interval)?;
    }
    Ok(ExitCode::SUCCESS)
}

/// Until the container has ended.
fn follow(global: &Global, root: &Root, id: &str, interval: Duration) -> Result<(), Fault> {
    let mut watch = OomWatch::new(root, id)?;
    let mut next = Instant::now() + interval;
    loop {
        match watch.wait(next.saturating_duration_since(Instant::now()))? {
            Happened::Oom => print(&json!({ "type": "oom", "id": id }))?,
            Happened::Ended => return Ok(()),
            Happened::Nothing => {
                next += interval;
                if let Err(fault) = figures(root, id) {
                    global.log.warn(&fault.to_string());
                }
            }
        }
    }
}

fn figures(root: &Root, id: &str) -> Result<(), Fault> {
    print(&json!({ "type": "stats", "id": id, "data": stats(root, id)? }))
}

/// A line that nobody reads any more is a failure: the reader is gone.
fn print(value: &Value) -> Result<(), Fault> {
    let mut out = std::io::stdout().lock();
    writeln!(out, "{value}")
        .and_then(|()| out.flush())
        .map_err(|error| Fault::new(Layer::Caller, "print", "cannot write to standard output").because(&error))
}

/// Go's form: numbers with units, `1m30s`, `500ms`, `1.5h`.
fn duration(text: &str) -> Option<Duration> {
    let mut rest = text.strip_prefix('+').unwrap_or(text);
    let mut total = Duration::ZERO;
    if rest.is_empty() {
        return None;
    }
    while !rest.is_empty() {
        if rest == "0" {
            return Some(total);
        }
        let end = rest.find(|c: char| !c.is_ascii_digit() && c != '.')?;
        let (number, after) = rest.split_at(end);
        let end = after.find(|c: char| c.is_ascii_digit() || c == '.').unwrap_or(after.len());
        let (unit, after) = after.split_at(end);
        let seconds = match unit {
            "ns" => 1e-9,
            "us" | "µs" => 1e-6,
            "ms" => 1e-3,
            "s" => 1.0,
            "m" => 60.0,
            "h" => 3600.0,
            _ => return None,
        };
        total = total.checked_add(Duration::try_from_secs_f64(number.parse::<f64>().ok()? * seconds).ok()?)?;
        rest = after;
    }
    Some(total)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn durations() {
        let good = [("5s", 5000), ("1m30s", 90_000), ("500ms", 500), ("1.5h", 5_400_000), ("0", 0)];
        for (text, milliseconds) in good {
            assert_eq!(duration(text), Some(Duration::from_millis(milliseconds)), "{text}");
        }
        for bad in ["", "5", "s", "-1s", "5x", "1..2s"] {
            assert_eq!(duration(bad), None, "{bad}");
        }
    }
}
