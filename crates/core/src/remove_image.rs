//! Removals of images enter the journal here, whichever contract asked for them. The removal itself is `image`'s.

use crate::Core;
use crate::events::{Event, Topic};
use plimsoll_fault::Result;

/// Removes the image that `name` stands for, with all its names; says whether it was there.
pub async fn remove_image(core: &Core, namespace: &str, name: &str) -> Result<bool> {
    let was_there = core.images().remove_image(namespace, name).await?;
    if was_there {
        core.journal().publish(Event::new(namespace, Topic::ImageRemoved).image(name));
    }
    Ok(was_there)
}
