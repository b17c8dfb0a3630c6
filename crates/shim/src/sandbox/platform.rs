//! Platform: what the sandbox's programs run on.

use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::{sandbox as wire, types};

pub(crate) fn handle(_server: &mut Server, call: &Call<'_>) -> Handled {
    let _request: wire::PlatformRequest = decode(call)?;
    // The Go names, which all contracts of this field use.
    let architecture = match std::env::consts::ARCH {
        "x86_64" => "amd64",
        "aarch64" => "arm64",
        other => other,
    };
    let platform =
        types::Platform { os: "linux".to_owned(), architecture: architecture.to_owned(), ..Default::default() };
    answer(&wire::PlatformResponse { platform: Some(platform) })
}
