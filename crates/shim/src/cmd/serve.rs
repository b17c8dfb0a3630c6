//! `serve` (internal): the shim itself. Standard input is the listening socket.

use crate::args::Args;
use crate::log::Log;
use crate::server::{Server, Settings};
use plimsoll_fault::{Fault, Layer};
use plimsoll_sys::{SingleThread, seal};
use rustix::fs::{Mode, OFlags};
use std::os::fd::AsFd;
use std::path::PathBuf;

pub(crate) fn run(args: &Args) -> Result<(), Fault> {
    let token = SingleThread::prove().map_err(|e| fault("the shim must have one thread").because(&e))?;
    seal(&token)?;
    let listener = std::io::stdin().as_fd().try_clone_to_owned();
    let listener = listener.map_err(|e| fault("cannot take the listening socket").because(&e))?;
    let null = rustix::fs::open("/dev/null", OFlags::RDWR | OFlags::CLOEXEC, Mode::empty());
    null.and_then(|null| rustix::stdio::dup2_stdin(&null)).map_err(|e| fault("cannot open /dev/null").because(&e))?;
    // Whoever ends the daemon's session or process group spares the pod.
    rustix::process::setsid().map_err(|e| fault("cannot leave the session").because(&e))?;
    // A pid here means "set": every orphan of the pod becomes a child of the shim.
    rustix::process::set_child_subreaper(Some(rustix::process::getpid()))
        .map_err(|e| fault("cannot become the subreaper").because(&e))?;
    let log = Log::open();
    // The bundle of the first container may go while others run.
    rustix::process::chdir("/").map_err(|e| fault("cannot leave the bundle's folder").because(&e))?;
    let events = args.events.as_ref().map(PathBuf::from);
    let settings = Settings { namespace: args.namespace.clone(), events };
    let mut server =
        Server::new(token, settings, listener, log).map_err(|e| fault("cannot set up the server").because(&e))?;
    let outcome = server.run();
    if let Err(error) = std::fs::remove_file(&args.socket) {
        server.log.warn(&fault("cannot remove the socket").because(&error));
    }
    outcome.map_err(|e| {
        let fault = fault("the server stopped").because(&e);
        server.log.warn(&fault);
        fault
    })
}

/// From here on the program's file cannot be written through this process (CVE-2019-5736): workers enter containers.
/// Executes the program again, once, unless it is sealed.
fn seal(token: &SingleThread) -> Result<(), Fault> {
    match seal::is_sealed() {
        Ok(true) => Ok(()),
        Ok(false) => Err(fault("cannot run from a sealed copy").because(&seal::reexec(token))),
        Err(errno) => Err(fault("cannot tell whether the program is sealed").because(&errno)),
    }
}

fn fault(what: &str) -> Fault {
    Fault::new(Layer::Shim, "serve", what)
}
