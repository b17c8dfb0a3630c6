//! CreateSandbox: checks and keeps what is asked; StartSandbox makes it.

use super::namespaces::Plan;
use super::{Sandbox, SandboxPhase};
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::{extension, sandbox as wire, type_url};
use prost::Message;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::CreateSandboxRequest = decode(call)?;
    let id = request.sandbox_id;
    if server.sandbox.is_some() {
        let fault = Fault::new(Layer::Shim, "sandbox", "this shim keeps a sandbox already");
        return Err(fault.kind(Kind::AlreadyExists).in_pod(&id));
    }
    let options = match &request.options {
        Some(any) if any.type_url.ends_with(type_url::SANDBOX_OPTIONS) => {
            extension::SandboxOptions::decode(any.value.as_slice())
                .map_err(|e| Fault::invalid("sandbox", "the sandbox options cannot be read").because(&e))?
        }
        // Another daemon's: nothing to make but the record.
        _ => extension::SandboxOptions::default(),
    };
    let plan = Plan::new(options, &request.netns_path, &request.bundle_path).map_err(|fault| fault.in_pod(&id))?;
    server.sandbox = Some(Sandbox {
        id,
        plan,
        phase: SandboxPhase::Created,
        init: None,
        created_at: None,
        exit: None,
        waiters: Vec::new(),
        stopping: None,
    });
    answer(&wire::CreateSandboxResponse {})
}
