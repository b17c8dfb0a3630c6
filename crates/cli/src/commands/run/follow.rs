//! In front: copies the container's log to our streams, turns our signals into a stop, and answers its exit code.

use crate::client::Client;
use crate::crilog::{Printer, Reader};
use plimsoll_fault::{Fault, Layer, Result};
use plimsoll_proto::cri::ContainerState;
use std::io::{self, Write};
use std::path::Path;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};

/// Longest wait between two looks at log and state.
pub(crate) const END_OF_LOG: Duration = Duration::from_millis(50);
/// A container that ends at once is noticed at once.
const FIRST_LOOK: Duration = Duration::from_millis(2);
/// Seconds that a container has to end after the first signal.
const GRACE: i64 = 10;

/// The exit code, once everything that the container wrote has been copied.
pub(super) async fn follow(client: &Client, id: &str, log: &Path) -> Result<i32> {
    let mut signals = Signals::open()?;
    let mut reader = Reader::new(log);
    let mut sink = Sink { printer: Printer::new(io::stdout(), io::stderr(), false), open: true };
    let mut stops = tokio::task::JoinSet::new();
    let mut wait = FIRST_LOOK;
    let mut asked = 0;
    loop {
        // State first, then the log: what was written before the end is in the file by then.
        let status = client.patient_status(id).await?;
        sink.copy(&mut reader)?;
        if status.state() != ContainerState::ContainerRunning {
            return Ok(status.exit_code);
        }
        tokio::select! {
            () = tokio::time::sleep(wait) => wait = (wait * 2).min(END_OF_LOG),
            () = signals.next() => {
                let (client, id, grace) = (client.clone(), id.to_owned(), if asked == 0 { GRACE } else { 0 });
                stops.spawn(async move { client.stop_container(&id, grace).await });
                asked += 1;
            }
            Some(outcome) = stops.join_next() => stopped(outcome)?,
        }
    }
}

fn stopped(outcome: std::result::Result<Result<()>, tokio::task::JoinError>) -> Result<()> {
    outcome.map_err(|error| Fault::new(Layer::Caller, "stop", "the stop did not finish").because(&error))?
}

/// SIGINT and SIGTERM.
struct Signals {
    interrupt: Signal,
    terminate: Signal,
}

impl Signals {
    fn open() -> Result<Self> {
        let open = |kind| {
            signal(kind).map_err(|error| Fault::new(Layer::Kernel, "signals", "cannot catch signals").because(&error))
        };
        Ok(Self { interrupt: open(SignalKind::interrupt())?, terminate: open(SignalKind::terminate())? })
    }

    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }
}

/// Our streams. When their reader has gone the container still runs to its end: only the copying stops.
struct Sink<O, E> {
    printer: Printer<O, E>,
    open: bool,
}

impl<O: Write, E: Write> Sink<O, E> {
    fn copy(&mut self, reader: &mut Reader) -> Result<()> {
        loop {
            let records = reader.next_records()?;
            if records.is_empty() {
                return Ok(());
            }
            if self.open {
                let printer = &mut self.printer;
                let outcome =
                    records.iter().try_for_each(|record| printer.print(record)).and_then(|()| printer.flush());
                self.open = outcome.is_ok();
                crate::output::written(outcome)?;
            }
        }
    }
}
