//! PullImage.

use super::named;
use crate::convert::image::auth;
use crate::{Cri, NAMESPACE};
use plimsoll_fault::Fault;
use plimsoll_image::PullRequest;
use plimsoll_proto::cri::{PullImageRequest, PullImageResponse};
use plimsoll_spec::reference::Reference;

pub(crate) async fn pull_image(cri: Cri, request: PullImageRequest) -> Result<PullImageResponse, Fault> {
    let name = named(&cri, request.image)?;
    let reference: Reference = name.parse().map_err(|error| {
        Fault::invalid("resolve", format!("image reference `{name}`")).because(&error).of_image(&name)
    })?;
    let auth = request.auth.map(|given| auth(given, reference.domain())).transpose()?.flatten();
    let pull = PullRequest { namespace: NAMESPACE.to_owned(), reference: reference.or_latest(), auth, progress: None };
    let image = plimsoll_core::pull::pull(cri.core(), cri.store(), pull).await?;
    Ok(PullImageResponse { image_ref: image.id.to_string() })
}
