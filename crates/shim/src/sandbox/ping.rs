//! PingSandbox: the shim is there and keeps this sandbox.

use super::named;
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::sandbox as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::PingRequest = decode(call)?;
    named(server, &request.sandbox_id)?;
    answer(&wire::PingResponse {})
}
