//! Pids: every process of a container's cgroup; execs are named.

use crate::oom;
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_proto::shim::{runc, task as wire, task_types::ProcessInfo};
use prost::Message;
use prost_types::Any;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::PidsRequest = decode(call)?;
    let task = server.task(&request.id)?;
    let pids = task.cgroup.as_ref().map(oom::pids).unwrap_or_default();
    let info = |pid: u32| {
        let exec = task.execs.iter().find(|(_, process)| process.exit.is_none() && process.pid_number() == pid);
        exec.map(|(exec_id, _)| Any {
            type_url: "containerd.runc.v1.ProcessDetails".to_owned(),
            value: runc::ProcessDetails { exec_id: exec_id.clone() }.encode_to_vec(),
        })
    };
    let processes = pids.into_iter().map(|pid| ProcessInfo { pid, info: info(pid) }).collect();
    answer(&wire::PidsResponse { processes })
}
