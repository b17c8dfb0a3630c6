//! `plimrun delete [--force] ID`

use crate::args::{Flag, Global, parse};
use plimsoll_fault::Fault;
use std::ffi::OsString;
use std::process::ExitCode;

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[Flag::ShortSwitch("force", "f")], words, usize::MAX)?;
    plimsoll_runtime::delete(&global.root()?, parsed.only_id()?, parsed.has("force"))?;
    Ok(ExitCode::SUCCESS)
}
