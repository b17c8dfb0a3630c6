//! `plimrun spec [--bundle DIR]`: a `config.json` to start from.

use crate::args::{Flag, parse};
use plimsoll_fault::{Fault, Kind};
use std::ffi::OsString;
use std::path::Path;
use std::process::ExitCode;

pub(super) fn run(words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[Flag::Short("bundle", "b"), Flag::Switch("rootless")], words, usize::MAX)?;
    if parsed.has("rootless") {
        return Err(crate::args::usage("--rootless is not implemented").kind(Kind::Unimplemented));
    }
    let path = Path::new(parsed.value("bundle").unwrap_or(".")).join("config.json");
    let file = std::fs::OpenOptions::new().write(true).create_new(true).open(&path);
    let mut file = file.map_err(|e| crate::args::usage(format!("cannot make {}", path.display())).because(&e))?;
    std::io::Write::write_all(&mut file, TEMPLATE.as_bytes())
        .map_err(|e| crate::args::usage(format!("cannot write {}", path.display())).because(&e))?;
    Ok(ExitCode::SUCCESS)
}

const TEMPLATE: &str = include_str!("spec.json");
