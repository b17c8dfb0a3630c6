//! `containerd-shim-plimsoll-v1`: the shim's command line. A fault goes to standard error as one line of JSON, which our
//! daemon reads and others show.

#![allow(clippy::print_stderr, reason = "the contract of `start` and `delete`: reasons go to standard error")]

use std::process::ExitCode;

fn main() -> ExitCode {
    match plimsoll_shim::run(std::env::args().skip(1)) {
        Ok(()) => ExitCode::SUCCESS,
        Err(fault) => {
            eprintln!("{}", fault.to_json());
            ExitCode::FAILURE
        }
    }
}
