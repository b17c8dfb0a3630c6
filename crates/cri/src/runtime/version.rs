//! Version.

use crate::Cri;
use plimsoll_fault::Fault;
use plimsoll_proto::cri::{VersionRequest, VersionResponse};

/// The version of kubelet's runtime API, which has stood still since before CRI v1.
const KUBELET_API: &str = "0.1.0";

pub(crate) async fn version(_: Cri, _: VersionRequest) -> Result<VersionResponse, Fault> {
    Ok(VersionResponse {
        version: KUBELET_API.to_owned(),
        runtime_name: "plimsoll".to_owned(),
        runtime_version: env!("CARGO_PKG_VERSION").to_owned(),
        runtime_api_version: "v1".to_owned(),
    })
}
