//! `plim exec`: a command inside a running container, by ExecSync.

use crate::client::{Client, call};
use crate::output::written;
use crate::{Outcome, subject};
use plimsoll_fault::{Fault, Kind, Result};
use plimsoll_proto::cri;
use std::io::Write;
use std::process::ExitCode;

/// Run a command inside a running container and return its exit code
///
/// Output comes when the command has ended; each stream is cut at 16 MiB.
#[derive(clap::Args)]
#[command(after_help = "Examples:\n  plim exec web -- nginx -v\n  plim exec --timeout 5 web sh -c 'ls /'")]
pub(crate) struct Args {
    /// Kill the command after so many seconds [default: never]
    #[arg(long, value_name = "SECONDS", default_value_t = 0, hide_default_value = true)]
    timeout: u32,
    /// Not there yet
    #[arg(short, long, hide = true)]
    interactive: bool,
    /// Not there yet
    #[arg(short, long, hide = true)]
    tty: bool,
    container: String,
    #[arg(required = true, trailing_var_arg = true, allow_hyphen_values = true)]
    command: Vec<String>,
}

pub(crate) async fn run(client: &Client, args: Args) -> Outcome {
    refuse_streaming(args.interactive, args.tty)?;
    let container = subject::container(client, &args.container).await?;
    let request = cri::ExecSyncRequest { container_id: container.id, cmd: args.command, timeout: args.timeout.into() };
    let answer = call!(client.runtime(), exec_sync, "ExecSync", request)?;
    let (mut out, mut err) = (std::io::stdout().lock(), std::io::stderr().lock());
    written(out.write_all(&answer.stdout).and_then(|()| out.flush()))?;
    written(err.write_all(&answer.stderr))?;
    Ok(code(answer.exit_code))
}

/// Terminals and stdin need the streaming half of CRI, which this client does not speak yet.
pub(crate) fn refuse_streaming(interactive: bool, tty: bool) -> Result<()> {
    let flag = match (interactive, tty) {
        (false, false) => return Ok(()),
        (true, false) => "-i",
        (false, true) => "-t",
        (true, true) => "-it",
    };
    Err(Fault::invalid("read flags", format!("{flag} is not there yet: plim does not speak CRI's streaming protocols"))
        .kind(Kind::Unimplemented)
        .hint("leave it out; the command then runs without stdin and terminal"))
}

/// A container's exit code as ours. Only the low byte exists on Linux.
pub(crate) fn code(exit_code: i32) -> ExitCode {
    ExitCode::from(u8::try_from(exit_code & 0xff).unwrap_or(u8::MAX))
}
