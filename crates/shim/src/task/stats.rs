//! Stats: what a container uses, as containerd's cgroup metrics.

use crate::metrics;
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::task as wire;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::StatsRequest = decode(call)?;
    let task = server.task(&request.id)?;
    let cgroups = task.runtime.cgroups(&request.id, task.init.pid).map_err(|fault| fault.in_container(&request.id))?;
    answer(&wire::StatsResponse { stats: Some(metrics::read(&cgroups)) })
}
