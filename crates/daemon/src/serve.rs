//! The service's life: build, listen, say so, stop when told to.

use crate::config::Config;
use plimsoll_fault::{Fault, Layer};
use plimsoll_image::Db;
use plimsoll_sys::sd_notify::Supervisor;
use std::os::unix::net::UnixListener;
use std::time::Duration;
use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio_stream::wrappers::UnixListenerStream;

/// How long calls under way may take after SIGTERM. Containers are not affected by it.
pub(crate) const STOP_GRACE: Duration = Duration::from_secs(10);

/// Serves until SIGTERM or SIGINT.
pub(crate) async fn serve(config: &Config, db: Db, listener: UnixListener) -> Result<(), Fault> {
    let signals = Signals::new()?;
    let router = crate::build::build(config, db).await?;
    let listener =
        tokio::net::UnixListener::from_std(listener).map_err(|error| fault("cannot listen").because(&error))?;
    tell_supervisor("READY=1");
    tracing::info!(socket = %config.socket_path().display(), root = %config.root.as_path().display(), "serving");
    let (stopping, stopped) = tokio::sync::oneshot::channel();
    let serving = router.serve_with_incoming_shutdown(UnixListenerStream::new(listener), async move {
        signals.stop().await;
        tell_supervisor("STOPPING=1");
        // The receiver is gone only when serving has already ended.
        stopping.send(()).unwrap_or_default();
    });
    let overdue = async {
        if stopped.await.is_ok() {
            tokio::time::sleep(STOP_GRACE).await;
        } else {
            std::future::pending::<()>().await;
        }
    };
    tokio::select! {
        served = serving => served.map_err(|error| fault("the socket's service ended").because(&error))?,
        () = overdue => tracing::warn!(seconds = STOP_GRACE.as_secs(), "calls still under way are abandoned"),
    }
    tracing::info!("stopped");
    Ok(())
}

struct Signals {
    terminate: Signal,
    interrupt: Signal,
    hangup: Signal,
}

impl Signals {
    fn new() -> Result<Self, Fault> {
        let take = |kind| signal(kind).map_err(|error| fault("cannot take signals").because(&error));
        Ok(Self {
            terminate: take(SignalKind::terminate())?,
            interrupt: take(SignalKind::interrupt())?,
            hangup: take(SignalKind::hangup())?,
        })
    }

    /// Returns when one of the stopping signals came.
    async fn stop(mut self) {
        loop {
            let name = tokio::select! {
                _ = self.terminate.recv() => "SIGTERM",
                _ = self.interrupt.recv() => "SIGINT",
                _ = self.hangup.recv() => {
                    tracing::info!("SIGHUP: the configuration is read at start only; nothing is reloaded");
                    continue;
                }
            };
            tracing::info!(signal = name, "stopping; containers go on");
            return;
        }
    }
}

fn tell_supervisor(state: &str) {
    let told = Supervisor::of_environment().and_then(|found| found.map_or(Ok(()), |supervisor| supervisor.tell(state)));
    if let Err(error) = told {
        tracing::warn!(%error, state, "supervisor not told");
    }
}

fn fault(what: &str) -> Fault {
    Fault::new(Layer::Daemon, "serve", what)
}
