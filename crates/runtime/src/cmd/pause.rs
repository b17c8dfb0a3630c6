//! `plimrun pause ID` and `plimrun resume ID`

use crate::args::{Global, parse};
use plimsoll_fault::Fault;
use std::ffi::OsString;
use std::process::ExitCode;

pub(super) fn pause(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[], words, usize::MAX)?;
    plimsoll_runtime::pause(&global.root()?, parsed.only_id()?)?;
    Ok(ExitCode::SUCCESS)
}

pub(super) fn resume(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[], words, usize::MAX)?;
    plimsoll_runtime::resume(&global.root()?, parsed.only_id()?)?;
    Ok(ExitCode::SUCCESS)
}
