//! Stats: what a container uses, as containerd's cgroup metrics.

use crate::metrics;
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::task as wire;
use plimsoll_runtime::Root;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::StatsRequest = decode(call)?;
    let root = Root::open(server.task(&request.id)?.root.clone())?;
    let cgroups = plimsoll_runtime::cgroups(&root, &request.id).map_err(|fault| fault.in_container(&request.id))?;
    answer(&wire::StatsResponse { stats: Some(metrics::read(&cgroups)) })
}
