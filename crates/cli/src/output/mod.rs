//! How answers look: tables for people, the contract's canonical JSON for programs.

mod canonical;
mod human;
pub(crate) mod origin;
pub(crate) mod progress;
pub(crate) mod stack;
mod table;

pub(crate) use canonical::json;
pub(crate) use human::{ago, exact_time, plain, short_id, size};
pub(crate) use table::table;

use std::io::{self, Write};

#[derive(Clone, Copy, Debug, PartialEq, Eq, clap::ValueEnum)]
pub(crate) enum Format {
    Table,
    Json,
}

/// Writes text and a newline to stdout. A reader that went away (`plim ps | head -1`) is not an error.
pub(crate) fn line(text: &str) -> plimsoll_fault::Result<()> {
    let mut out = io::stdout().lock();
    written(out.write_all(text.as_bytes()).and_then(|()| out.write_all(b"\n")).and_then(|()| out.flush()))
}

/// The outcome of a write to stdout or stderr, as a fault where it is one.
pub(crate) fn written(outcome: io::Result<()>) -> plimsoll_fault::Result<()> {
    match outcome {
        Err(error) if error.kind() != io::ErrorKind::BrokenPipe => {
            Err(plimsoll_fault::Fault::new(plimsoll_fault::Layer::Caller, "print", "cannot write the output")
                .because(&error))
        }
        Ok(()) | Err(_) => Ok(()),
    }
}

/// Pretty-prints a JSON value.
pub(crate) fn print_json(value: &serde_json::Value) -> plimsoll_fault::Result<()> {
    line(&format!("{value:#}"))
}
