//! `plimrun run [create's flags] [--detach] [--keep] ID`: create, start, and in the foreground wait and delete.

use super::create::{FLAGS, bundle, connect, request};
use super::foreground::Foreground;
use super::ready::Relay;
use crate::args::{Global, parse, usage};
use plimsoll_fault::Fault;
use plimsoll_runtime::Stdio;
use std::ffi::OsString;
use std::process::ExitCode;

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&FLAGS, words, usize::MAX)?;
    let token = crate::sealed()?;
    let root = global.root()?;
    let mut request = request(global, &parsed)?;
    let id = request.id;
    let bundle = bundle(&parsed, id)?;
    let detach = parsed.has("detach");
    if let Some(socket) = parsed.value("console-socket") {
        if !detach {
            return Err(usage("--console-socket needs --detach"));
        }
        request.stdio = Stdio::Console { socket: connect("console", socket)?, size: None };
    }
    if detach {
        let mut created = plimsoll_runtime::run(&token, &root, bundle, request)?;
        if let Some(relay) = created.readiness.take().and_then(|socket| Relay::new(&global.log, socket)) {
            relay.wait(&global.log, created.pid, &created.pidfd);
        }
        return Ok(ExitCode::SUCCESS);
    }
    let mut foreground = Foreground::begin(&global.log)?;
    if bundle.spec().process.as_ref().is_some_and(|process| process.terminal) {
        request.stdio = foreground.terminal()?;
    }
    let mut created = plimsoll_runtime::run(&token, &root, bundle, request)?;
    let relay = created.readiness.take().and_then(|socket| Relay::new(&global.log, socket));
    let exit = foreground.wait(&created, relay)?;
    if !parsed.has("keep") {
        plimsoll_runtime::delete_ended(&root, id, &created)?;
    }
    Ok(super::foreground::exit_code(exit))
}
