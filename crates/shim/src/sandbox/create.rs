//! CreateSandbox: checks and keeps what is asked; StartSandbox makes it.

use super::namespaces::Plan;
use super::{Sandbox, SandboxPhase};
use crate::server::{Call, Handled, Server, answer, decode};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::cri::PodSandboxConfig;
use plimsoll_proto::shim::{extension, sandbox as wire, type_url};
use prost::Message;

pub(crate) fn handle(server: &mut Server, call: &Call<'_>) -> Handled {
    let request: wire::CreateSandboxRequest = decode(call)?;
    let id = request.sandbox_id;
    if server.sandbox.is_some() {
        let fault = Fault::new(Layer::Shim, "sandbox", "this shim keeps a sandbox already");
        return Err(fault.kind(Kind::AlreadyExists).in_pod(&id));
    }
    let unreadable =
        |e: prost::DecodeError| Fault::invalid("sandbox", "the sandbox options cannot be read").because(&e);
    let (netns, bundle) = (&request.netns_path, &request.bundle_path);
    let plan = match &request.options {
        Some(any) if any.type_url.ends_with(type_url::SANDBOX_OPTIONS) => {
            let options = extension::SandboxOptions::decode(any.value.as_slice()).map_err(unreadable)?;
            Plan::new(options, netns, bundle)
        }
        // containerd's CRI.
        Some(any) if any.type_url.ends_with(type_url::POD_SANDBOX_CONFIG) => {
            Plan::of_cri(PodSandboxConfig::decode(any.value.as_slice()).map_err(unreadable)?, netns, bundle)
        }
        // Another daemon's: nothing to make but the record.
        _ => Plan::new(extension::SandboxOptions::default(), netns, bundle),
    };
    let plan = plan.map_err(|fault| fault.in_pod(&id))?;
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
