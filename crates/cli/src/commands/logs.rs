//! `plim logs`: what a container has written, read from its CRI log file.

use super::run::END_OF_LOG;
use crate::client::Client;
use crate::crilog::{Printer, Reader, Record, Tail};
use crate::output::written;
use crate::parse::duration;
use crate::{Outcome, subject};
use jiff::Timestamp;
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_proto::cri::ContainerState;
use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

/// Show what a container has written
///
/// Its stdout goes to stdout and its stderr to stderr.
#[derive(clap::Args)]
#[command(
    after_help = "Examples:\n  plim logs web\n  plim logs -f --tail 20 web\n  plim logs --since 10m --timestamps web"
)]
pub(crate) struct Args {
    /// Go on until the container ends
    #[arg(short, long)]
    follow: bool,
    /// Only so many lines from the end
    #[arg(short = 'n', long, value_name = "LINES")]
    tail: Option<usize>,
    /// Only what is newer: a time (RFC 3339) or a span such as 10m
    #[arg(long, value_name = "TIME", value_parser = |text: &str| duration::since(text, Timestamp::now()))]
    since: Option<Timestamp>,
    /// Put the time before each line
    #[arg(short, long)]
    timestamps: bool,
    container: String,
}

pub(crate) async fn run(client: &Client, args: Args) -> Outcome {
    let container = subject::container(client, &args.container).await?;
    let status = client.container_status(&container.id, false).await?.status.unwrap_or_default();
    if status.log_path.is_empty() {
        return Err(no_log(&args.container));
    }
    let mut reader = Reader::new(Path::new(&status.log_path));
    let mut printer = Printer::new(io::stdout(), io::stderr(), args.timestamps);
    let begun = past(&mut reader, &args, &mut printer);
    if ended_early(begun)? || !args.follow {
        return Ok(ExitCode::SUCCESS);
    }
    loop {
        // The state is asked before the last read: what was written before the end is then in the file.
        let ended = has_ended(client, &container.id).await?;
        while let Some(records) = Some(reader.next_records()?).filter(|records| !records.is_empty()) {
            if ended_early(print(&mut printer, records.iter()))? {
                return Ok(ExitCode::SUCCESS);
            }
        }
        if ended {
            return Ok(ExitCode::SUCCESS);
        }
        tokio::time::sleep(END_OF_LOG).await;
    }
}

fn no_log(word: &str) -> Fault {
    Fault::new(Layer::Caller, "read log", format!("{word} has no log: its pod was made without a log folder"))
        .kind(Kind::FailedPrecondition)
}

/// What is there already: from the start, since a time, or the last lines only.
fn past<O: Write, E: Write>(reader: &mut Reader, args: &Args, printer: &mut Printer<O, E>) -> Result<io::Result<()>> {
    let mut tail = args.tail.map(Tail::new);
    while let Some(records) = Some(reader.next_records()?).filter(|records| !records.is_empty()) {
        let wanted = records.into_iter().filter(|record| args.since.is_none_or(|since| is_after(record, since)));
        match &mut tail {
            Some(tail) => wanted.for_each(|record| tail.push(record)),
            None => {
                let outcome = wanted.into_iter().try_for_each(|record| printer.print(&record));
                if outcome.is_err() {
                    return Ok(outcome);
                }
            }
        }
    }
    let rest = tail.into_iter().flat_map(Tail::into_records);
    Ok(rest.into_iter().try_for_each(|record| printer.print(&record)).and_then(|()| printer.flush()))
}

/// A record without a readable time is shown: hiding it would hide what somebody may be looking for.
fn is_after(record: &Record, since: Timestamp) -> bool {
    record.time.parse::<Timestamp>().map_or(true, |time| time >= since)
}

fn print<'a, O: Write, E: Write>(
    printer: &mut Printer<O, E>,
    mut records: impl Iterator<Item = &'a Record>,
) -> Result<io::Result<()>> {
    Ok(records.try_for_each(|record| printer.print(record)).and_then(|()| printer.flush()))
}

/// True when the reader of our output has gone (`plim logs web | head`), which ends the work but is no failure.
fn ended_early(outcome: Result<io::Result<()>>) -> Result<bool> {
    let outcome = outcome?;
    let gone = outcome.as_ref().is_err_and(|error| error.kind() == io::ErrorKind::BrokenPipe);
    written(outcome)?;
    Ok(gone)
}

async fn has_ended(client: &Client, id: &str) -> Result<bool> {
    match client.patient_status(id).await {
        Ok(status) => Ok(matches!(status.state(), ContainerState::ContainerExited | ContainerState::ContainerUnknown)),
        Err(fault) if fault.class() == Kind::NotFound => Ok(true),
        Err(fault) => Err(fault),
    }
}
