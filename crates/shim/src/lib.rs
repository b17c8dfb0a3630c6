//! The shim: one process per pod that keeps its containers' standard streams, logs and exit codes whatever happens to the
//! daemon, and makes, enters and signals containers through the linked runtime. Speaks shim v2 over ttrpc. No executor, one
//! thread, one epoll; what may hang runs in a forked worker. Owns no image, network or record of a pod.

mod args;
mod cmd;
mod durable;
mod events;
mod extension;
mod io;
mod log;
mod metrics;
mod oci;
mod oom;
mod sandbox;
mod server;
mod task;
mod worker;

use args::Verb;
use plimsoll_fault::Fault;

/// Runs the command line `words` (without the program's name).
pub fn run(words: impl IntoIterator<Item = String>) -> Result<(), Fault> {
    let args = args::parse(words)?;
    match args.verb {
        Verb::Start => cmd::start::run(args),
        Verb::Delete => cmd::delete::run(&args),
        Verb::Serve => cmd::serve::run(&args),
        Verb::CriLog => cmd::log::run(&args.log),
        Verb::Info => cmd::info::info(),
        Verb::Version => cmd::info::version(),
    }
}
