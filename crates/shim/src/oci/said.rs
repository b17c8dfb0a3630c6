//! What a runtime said of its failure: the last error line of its `--log` (runc's form, in which ours carries the whole fault, and
//! youki's), else its standard error.

use plimsoll_fault::{Fault, Kind, Layer};
use serde::Deserialize;
use std::path::Path;

#[derive(Deserialize)]
struct Line {
    #[serde(default)]
    level: String,
    #[serde(default)]
    msg: String,
    #[serde(default)]
    fields: Fields,
    fault: Option<Fault>,
}

/// As the Rust crate `tracing` writes them.
#[derive(Default, Deserialize)]
struct Fields {
    #[serde(default)]
    message: String,
    #[serde(default)]
    error: String,
}

/// Of `program`, called for `verb`, which ended with `status`.
pub(super) fn fault(program: &Path, verb: &str, status: &str, log: &str, stderr: &str) -> Fault {
    let is_error = |line: &Line| ["error", "fatal"].contains(&line.level.to_ascii_lowercase().as_str());
    let text = match entries(log).into_iter().rfind(is_error) {
        Some(Line { fault: Some(fault), .. }) => return fault,
        Some(Line { msg, fields, .. }) => [msg, fields.message, fields.error].into_iter().find(|text| !text.is_empty()),
        None => stderr.lines().rev().map(str::trim).find(|line| !line.is_empty()).map(str::to_owned),
    };
    let text = text.unwrap_or_else(|| format!("it says nothing; {status}"));
    let name = program.file_name().unwrap_or(program.as_os_str()).to_string_lossy();
    Fault::new(Layer::OciRuntime, verb, format!("{name} {verb}: {text}")).kind(kind(verb, &text))
}

/// An entry is a line, or several lines as crun writes it; what is none is passed over.
fn entries(log: &str) -> Vec<Line> {
    let (mut found, mut rest) = (Vec::new(), log);
    while !rest.is_empty() {
        let mut entries = serde_json::Deserializer::from_str(rest).into_iter();
        found.extend(entries.by_ref().map_while(Result::ok));
        let after = rest.get(entries.byte_offset()..).unwrap_or_default();
        rest = after.split_once('\n').map_or("", |(_, next)| next);
    }
    found
}

/// What callers of the shim tell apart: the words are runc's, and crun's and youki's where they differ.
fn kind(verb: &str, text: &str) -> Kind {
    let says = |words: &[&str]| words.iter().any(|word| text.contains(word));
    match verb {
        "create" if says(&["already exists", "given ID already exists"]) => Kind::AlreadyExists,
        "kill" if says(&["not running", "process already finished", "no such process", "No such process"]) => {
            Kind::NotFound
        }
        "kill" | "delete" | "state" if says(&["does not exist"]) => Kind::NotFound,
        _ => Kind::Internal,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(verb: &str, log: &str, stderr: &str) -> Fault {
        fault(Path::new("/usr/bin/crun"), verb, "exit status: 1", log, stderr)
    }

    #[test]
    fn the_last_error_of_the_log_counts() {
        let log = concat!(
            "{\"level\":\"warning\",\"msg\":\"first\",\"time\":\"t\"}\n",
            "{\"level\":\"error\",\"msg\":\"second\",\"time\":\"t\"}\n",
            "{\"level\":\"error\",\"msg\":\"exec: \\\"/x\\\": no such file or directory\",\"time\":\"t\"}\n",
            "{\"level\":\"warning\",\"msg\":\"later\",\"time\":\"t\"}\nno JSON\n",
        );
        let fault = of("start", log, "something else");
        assert_eq!(fault.what(), "crun start: exec: \"/x\": no such file or directory");
        assert_eq!((fault.layer(), fault.phase()), (&Layer::OciRuntime, "start"));
    }

    #[test]
    fn crun_writes_an_entry_over_several_lines() {
        let log = "{\n  \"msg\": \"first\",\n  \"level\": \"error\"\n}{\n  \"msg\": \"no `\\/x`\",\n  \"level\": \"error\"\n}";
        assert_eq!(of("create", log, "").what(), "crun create: no `/x`");
    }

    #[test]
    fn youki_writes_another_form() {
        let log = "{\"timestamp\":\"t\",\"level\":\"ERROR\",\"fields\":{\"message\":\"failed to create container\"}}\n";
        assert_eq!(of("create", log, "").what(), "crun create: failed to create container");
    }

    #[test]
    fn our_own_carries_the_whole_fault() {
        let own = Fault::new(Layer::Spec, "plan", "no").kind(Kind::InvalidArgument).in_container("c");
        let log = format!("{{\"level\":\"error\",\"msg\":\"no\",\"fault\":{}}}\n", own.to_json());
        assert_eq!(of("create", &log, ""), own);
    }

    #[test]
    fn without_a_log_standard_error_speaks_and_without_either_the_status() {
        assert_eq!(of("start", "", "first\nlast\n\n").what(), "crun start: last");
        assert_eq!(of("start", "", "").what(), "crun start: it says nothing; exit status: 1");
    }

    #[test]
    fn kinds_that_callers_tell_apart() {
        assert_eq!(of("create", "", "container `c` already exists").class(), Kind::AlreadyExists);
        assert_eq!(of("kill", "", "container not running").class(), Kind::NotFound);
        assert_eq!(of("delete", "", "container does not exist").class(), Kind::NotFound);
        assert_eq!(of("start", "", "container does not exist").class(), Kind::Internal);
    }
}
