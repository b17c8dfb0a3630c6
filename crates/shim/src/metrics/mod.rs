//! What a container's cgroups count, as containerd's metrics messages. Figures that a kernel does not have are 0.

mod files;
mod v1;
mod v2;

use plimsoll_proto::shim::type_url;
use prost::Message;
use prost_types::Any;
use std::path::PathBuf;

/// `cgroups` as [`plimsoll_runtime::cgroups`] names them.
pub(crate) fn read(cgroups: &[(String, PathBuf)]) -> Any {
    let (url, value) = match cgroups {
        [(controllers, folder)] if controllers.is_empty() => {
            (type_url::METRICS_V2, v2::metrics(folder).encode_to_vec())
        }
        _ => (type_url::METRICS_V1, v1::metrics(cgroups).encode_to_vec()),
    };
    Any { type_url: url.to_owned(), value }
}
