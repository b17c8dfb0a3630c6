//! plimsolld: the node daemon. From flags to a serving socket; what is served is wired in `build`.
#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a program: `config` prints, and a failed start is said")]

mod admin;
mod build;
mod config;
mod flags;
mod folders;
mod journal_log;
mod log;
mod serve;
mod socket;

use clap::Parser;
use config::Config;
use flags::{Command, ConfigCommand, Flags};
use plimsoll_fault::{Fault, Layer};
use plimsoll_image::Db;
use std::process::ExitCode;

fn main() -> ExitCode {
    let flags = Flags::parse();
    let done = match flags.command {
        Some(Command::Config(ConfigCommand::Default)) => {
            print!("{}", config::DEFAULT_TEXT);
            Ok(())
        }
        Some(Command::Config(ConfigCommand::Check)) => flags.effective().and_then(|config| check(&config)),
        None => flags.effective().and_then(|config| run(&config)),
    };
    match done {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("plimsolld: {fault}");
            ExitCode::FAILURE
        }
    }
}

/// Everything that must happen before threads exist, then the service until it is told to stop.
fn run(config: &Config) -> Result<(), Fault> {
    log::start(&config.log)?;
    // A known mask for whatever is written later; state folders get their modes explicitly.
    rustix::process::umask(rustix::fs::Mode::from_raw_mode(0o022));
    folders::make(config)?;
    let _state = folders::own_state(config)?;
    // First the root: its owner alone may judge the socket stale.
    let db = Db::open(config.root.as_path())?;
    let (socket, listener) = socket::Socket::bind(&config.socket_path(), config.socket_gid)?;
    let executor = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .map_err(|error| Fault::new(Layer::Daemon, "start", "cannot start the executor").because(&error))?;
    let served = executor.block_on(serve::serve(config, db, listener));
    executor.shutdown_timeout(serve::STOP_GRACE);
    drop(socket);
    served
}

/// `config check`: the file parses (or this is not reached), and this host has what it names.
fn check(config: &Config) -> Result<(), Fault> {
    for (name, handler) in &config.handlers {
        let programs = config::Programs::of(name, handler)?;
        let runtime = programs.runtime.map(|path| format!(" with {}", path.display())).unwrap_or_default();
        println!("handler {}: {}{runtime}", name.as_str(), programs.shim.display());
    }
    println!("socket: {}", config.socket_path().display());
    println!("configuration is usable");
    Ok(())
}
