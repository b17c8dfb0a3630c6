//! The Sandbox service: the pod's namespaces, kept without a pause process. A file per RPC; making and pinning is in
//! `namespaces.rs`.

pub(crate) mod create;
mod init;
mod namespaces;
pub(crate) mod ping;
pub(crate) mod platform;
pub(crate) mod shutdown;
pub(crate) mod start;
pub(crate) mod status;
pub(crate) mod stop;
pub(crate) mod wait;

use crate::server::{Reply, Server};
pub(crate) use init::end as end_init;
use namespaces::Plan;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::sandbox as wire;
use prost::Message;
use rustix::process::Pid;
use std::time::SystemTime;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum SandboxPhase {
    Created,
    Starting,
    Ready,
    Stopping,
    Stopped,
}

/// The one sandbox that a shim keeps.
#[derive(Debug)]
pub(crate) struct Sandbox {
    pub(crate) id: String,
    pub(crate) plan: Plan,
    pub(crate) phase: SandboxPhase,
    /// PID 1 of the pod's PID namespace, when the pod has one.
    pub(crate) init: Option<Pid>,
    pub(crate) created_at: Option<SystemTime>,
    pub(crate) exit: Option<(u32, SystemTime)>,
    pub(crate) waiters: Vec<Reply>,
    /// A stop whose pins are gone and which waits for PID 1 to be gone too.
    pub(crate) stopping: Option<Stopping>,
}

/// Who waits for a stop, and whether the shim ends with it.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Stopping {
    pub(crate) reply: Reply,
    pub(crate) shutdown: bool,
}

impl Sandbox {
    /// The process to name when somebody asks for one: PID 1 of the pod, else the shim.
    pub(crate) fn pid(&self) -> u32 {
        self.init.map_or_else(std::process::id, |pid| pid.as_raw_nonzero().get().cast_unsigned())
    }

    pub(crate) fn wait_response(&self) -> Option<wire::WaitSandboxResponse> {
        let (exit_status, at) = self.exit?;
        Some(wire::WaitSandboxResponse { exit_status, exited_at: Some(crate::task::timestamp(at)) })
    }
}

/// The sandbox that a call names.
fn named<'a>(server: &'a mut Server, id: &str) -> Result<&'a mut Sandbox, Fault> {
    server.sandbox.as_mut().filter(|sandbox| sandbox.id == id).ok_or_else(|| {
        Fault::new(Layer::Shim, "lookup", format!("sandbox {id} is not here")).kind(Kind::NotFound).in_pod(id)
    })
}

fn wrong_phase(id: &str, what: &str) -> Fault {
    Fault::new(Layer::Shim, "sandbox", what).kind(Kind::FailedPrecondition).in_pod(id)
}

/// PID 1 of the pod has gone, and with it every process of its PID namespace.
pub(crate) fn init_ended(server: &mut Server, code: u32) {
    if let Some(sandbox) = &mut server.sandbox {
        sandbox.init = None;
        if sandbox.phase == SandboxPhase::Ready {
            sandbox.phase = SandboxPhase::Stopped;
        }
    }
    tell_exit(server, code);
    stop::complete(server);
}

fn tell_exit(server: &mut Server, code: u32) {
    let Some(sandbox) = &mut server.sandbox else { return };
    sandbox.exit.get_or_insert((code, SystemTime::now()));
    let waiters = std::mem::take(&mut sandbox.waiters);
    let Some(answer) = sandbox.wait_response() else { return };
    for reply in waiters {
        server.answer(reply, Ok(answer.encode_to_vec()));
    }
}
