//! `plimrun kill [--all] ID [SIGNAL]`: SIGTERM when none is named.

use crate::args::{Flag, Global, parse, usage};
use plimsoll_fault::Fault;
use plimsoll_sys::signals;
use std::ffi::OsString;
use std::process::ExitCode;

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[Flag::ShortSwitch("all", "a")], words, usize::MAX)?;
    let name = parsed.operands.get(1).map_or("SIGTERM", String::as_str);
    let signal = signals::parse(name).ok_or_else(|| usage(format!("unknown signal {name:?}")))?;
    parsed.at_most(2)?;
    plimsoll_runtime::kill(&global.root()?, parsed.id()?, signal, parsed.has("all"))?;
    Ok(ExitCode::SUCCESS)
}
