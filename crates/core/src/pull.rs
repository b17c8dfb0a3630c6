//! Pulls enter the journal here, whichever contract asked for them. The pull itself is `image`'s.

use crate::Core;
use crate::events::{Event, Topic};
use plimsoll_fault::Result;
use plimsoll_image::{Image, PullRequest, Store};

/// Pulls an image and enters how it went.
pub async fn pull(core: &Core, store: &Store, request: PullRequest) -> Result<Image> {
    let (namespace, name) = (request.namespace.clone(), request.reference.to_string());
    let pulled = store.pull(request).await;
    let event = |topic| Event::new(&namespace, topic).image(&name);
    core.journal().publish(match &pulled {
        Ok(_) => event(Topic::ImagePulled),
        Err(fault) => event(Topic::ImagePullFailed).fault(fault),
    });
    pulled
}
