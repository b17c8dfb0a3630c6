//! `plim`: the command line for people and node administrators. A file per verb under `commands/`; this file owns the
//! argument tree, the dispatch and the exit code.

#![allow(clippy::print_stdout, clippy::print_stderr, reason = "a command line program talks to its terminal")]

mod client;
mod commands;
mod credentials;
mod crilog;
mod endpoint;
mod failure;
mod output;
mod parse;
mod private;
mod stubs;
mod subject;

use clap::Parser;
use commands::Verb;
use output::Format;
use plimsoll_fault::Result;
use std::process::ExitCode;

const EXAMPLES: &str = "\
Examples:
  plim run --rm docker.io/library/busybox:latest echo hello
  plim run -d --name web -p 8080:80 localhost:5000/nginx:1
  plim ps -a
  plim logs -f --tail 20 web
  plim exec web -- nginx -v
  plim inspect --origin web
  plim explain web
  plim --endpoint /run/containerd/containerd.sock ps

Endpoint: --endpoint, else PLIM_ENDPOINT, else /run/plimsoll/plimsolld.sock, else the private
daemon that plim itself starts for root under /var/lib/plim.";

/// Run and look at containers, pods and images through a CRI runtime.
#[derive(Parser)]
#[command(name = "plim", version, after_help = EXAMPLES, max_term_width = 110)]
struct Plim {
    #[command(flatten)]
    global: Global,
    #[command(subcommand)]
    verb: Verb,
}

#[derive(clap::Args)]
pub(crate) struct Global {
    /// Socket of the runtime: a path or unix://PATH. Any CRI v1 runtime will do; what it lacks is said.
    #[arg(long, global = true, value_name = "SOCKET")]
    endpoint: Option<String>,
    /// `table` for people, `json` for programs.
    #[arg(short, long, global = true, value_enum, default_value_t = Format::Table)]
    output: Format,
}

/// The outcome of a verb: the exit code, which for `run` and `exec` is the container's.
pub(crate) type Outcome = Result<ExitCode>;

#[tokio::main(flavor = "current_thread")]
async fn main() -> ExitCode {
    let plim = Plim::parse();
    let on_failure = plim.verb.failure_code();
    match commands::dispatch(plim.verb, &plim.global).await {
        Ok(code) => code,
        Err(fault) => failure::report(&fault, plim.global.output, on_failure),
    }
}
