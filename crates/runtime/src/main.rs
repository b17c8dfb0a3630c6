//! `plimrun`: the OCI runtime's command line, as runc's: flags, output formats, exit codes.
#![allow(clippy::print_stdout, clippy::print_stderr)] // A command line speaks on standard output and error.

mod args;
mod cmd;
mod log;

use plimsoll_fault::{Fault, Layer};
use plimsoll_sys::arena::Arena;
use plimsoll_sys::{SingleThread, seal, signals};
use std::process::ExitCode;

#[global_allocator]
static HEAP: Arena = Arena::new();

fn main() -> ExitCode {
    let mut words = std::env::args_os().skip(1);
    let (global, verb) = match args::global(&mut words) {
        Ok(parsed) => parsed,
        Err(fault) => return log::Log::default().fail(&fault, 1),
    };
    let rest: Vec<_> = words.collect();
    let log = global.log.clone();
    match cmd::dispatch(&global, &verb, rest) {
        Ok(code) => code,
        // runc: 255 when exec itself fails, so that it cannot be taken for the program's own 1.
        Err(fault) => log.fail(&fault, if verb == "exec" { 255 } else { 1 }),
    }
}

/// For the verbs that enter a container: one thread, running from an image that cannot be written (CVE-2019-5736).
fn sealed() -> Result<SingleThread, Fault> {
    let fault = |what: &str, error: &dyn std::error::Error| {
        Fault::new(Layer::OciRuntime, "isolate", what).why(error.to_string())
    };
    let token = SingleThread::prove().map_err(|error| fault("the runtime must have one thread", &error))?;
    let is_sealed = seal::is_sealed().map_err(|error| fault("cannot look at the runtime's own file", &error))?;
    // A parent that ignores SIGCHLD would have our children reaped behind our back.
    signals::keep_children().map_err(|error| fault("cannot take SIGCHLD", &error))?;
    if !is_sealed {
        let error = seal::reexec(&token);
        return Err(fault("cannot run from a read-only image of the runtime", &error));
    }
    Ok(token)
}
