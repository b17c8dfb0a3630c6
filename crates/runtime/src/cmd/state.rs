//! `plimrun state ID`: the OCI state JSON.

use crate::args::{Global, parse};
use plimsoll_fault::Fault;
use std::ffi::OsString;
use std::process::ExitCode;

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[], words, usize::MAX)?;
    super::print_json(&plimsoll_runtime::state(&global.root()?, parsed.only_id()?)?)
}
