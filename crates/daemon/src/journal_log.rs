//! The journal as log lines: what happened on the node, beside who asked for it.

use plimsoll_core::events::Event;
use tokio::sync::broadcast::Receiver;
use tokio::sync::broadcast::error::RecvError;

/// Logs every event until the journal is gone.
pub(crate) async fn follow(mut journal: Receiver<Event>) {
    loop {
        match journal.recv().await {
            Ok(event) => line(&event),
            Err(RecvError::Lagged(lost)) => tracing::warn!(lost, "events came faster than they could be logged"),
            Err(RecvError::Closed) => return,
        }
    }
}

fn line(event: &Event) {
    let fault = event.fault.as_ref().map(ToString::to_string);
    tracing::info!(
        sequence = event.sequence,
        pod = event.sandbox,
        container = event.container,
        image = event.image,
        fault,
        "{}",
        event.topic.name()
    );
}
