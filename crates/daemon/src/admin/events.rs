//! Events: the journal, past and as it grows.

use super::{BUFFER, Parts, Stream};
use plimsoll_core::events::Event;
use plimsoll_proto::admin::{self, EventsRequest};
use serde_json::json;
use tokio::sync::broadcast::{Receiver, error::RecvError};
use tokio::sync::mpsc::{Sender, channel};
use tokio_stream::wrappers::ReceiverStream;
use tonic::Status;

pub(super) fn events(parts: &Parts, request: EventsRequest) -> Stream<admin::Event> {
    let (sender, receiver) = channel(BUFFER);
    // Subscribed before the past is read: what falls between is in both, and told apart by its number.
    let live = request.follow.then(|| parts.core.journal().subscribe());
    let past = parts.core.journal().since(request.from);
    tokio::spawn(async move {
        let mut next = request.from;
        for event in past {
            next = event.sequence + 1;
            if !send(&sender, &request, &event).await {
                return;
            }
        }
        if let Some(live) = live {
            follow(&sender, &request, live, next).await;
        }
    });
    ReceiverStream::new(receiver)
}

async fn follow(
    sender: &Sender<Result<admin::Event, Status>>,
    request: &EventsRequest,
    mut live: Receiver<Event>,
    next: u64,
) {
    loop {
        let event = tokio::select! {
            () = sender.closed() => return,
            received = live.recv() => received,
        };
        let going = match event {
            Ok(event) if event.sequence < next => true,
            Ok(event) => send(sender, request, &event).await,
            Err(RecvError::Lagged(lost)) => {
                let what = format!("the client was too slow: {lost} events were not sent; ask again from a number");
                // Whether it learns that or has gone: this is the end.
                if sender.send(Err(Status::data_loss(what))).await.is_err() {
                    tracing::debug!(lost, "a slow client of Events has left");
                }
                false
            }
            Err(RecvError::Closed) => false,
        };
        if !going {
            return;
        }
    }
}

/// False when the client has gone.
async fn send(sender: &Sender<Result<admin::Event, Status>>, request: &EventsRequest, event: &Event) -> bool {
    if !request.namespace.is_empty() && request.namespace != event.namespace {
        return true;
    }
    sender.send(Ok(message(event))).await.is_ok()
}

fn message(event: &Event) -> admin::Event {
    let subject = event.container.as_ref().or(event.sandbox.as_ref()).or(event.image.as_ref());
    let payload = json!({
        "sandbox": event.sandbox, "container": event.container, "image": event.image, "fault": event.fault,
    });
    admin::Event {
        sequence: event.sequence,
        at: event.at,
        namespace: event.namespace.clone(),
        topic: event.topic.name().to_owned(),
        subject: subject.cloned().unwrap_or_default(),
        payload: payload.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_core::events::Topic;

    #[test]
    fn the_innermost_object_is_the_subject() {
        let event = Event::new("k8s.io", Topic::ContainerStarted).sandbox("p").container("c");
        let message = message(&event);
        assert_eq!((message.subject.as_str(), message.topic.as_str()), ("c", "container-started"));
        assert!(message.payload.contains("\"sandbox\":\"p\""));
    }
}
