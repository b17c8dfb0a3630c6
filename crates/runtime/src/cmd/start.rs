//! `plimrun start ID`

use super::ready::{self, Relay};
use crate::args::{Global, parse};
use plimsoll_fault::Fault;
use plimsoll_runtime::Readiness;
use std::ffi::OsString;
use std::process::ExitCode;

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&[], words, usize::MAX)?;
    let (root, id) = (global.root()?, parsed.only_id()?);
    let readiness = if ready::is_wanted() { plimsoll_runtime::readiness(&root, id)? } else { None };
    plimsoll_runtime::start(&root, id)?;
    if let Some(Readiness { socket, pid, pidfd }) = readiness
        && let Some(relay) = Relay::new(&global.log, socket)
    {
        relay.wait(&global.log, pid, &pidfd);
    }
    Ok(ExitCode::SUCCESS)
}
