//! `plimrun start ID`

use crate::args::{Global, parse};
use plimsoll_fault::Fault;
use std::ffi::OsString;
use std::process::ExitCode;

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[], words, usize::MAX)?;
    plimsoll_runtime::start(&global.root()?, parsed.only_id()?)?;
    Ok(ExitCode::SUCCESS)
}
