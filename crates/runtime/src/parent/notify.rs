//! A seccomp filter that notifies: its listener goes from the child, who loaded the filter, to the agent that the config names
//! (config-linux.md, "The Container Process State").

use super::talk::answer;
use crate::fault::{At, Os};
use crate::hooks::state_json;
use crate::plan::Agent;
use crate::sync::{Channel, Message};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::{OCI_VERSION, State};
use plimsoll_sys::message;
use rustix::io::Errno;
use rustix::process::PidfdGetfdFlags;
use std::os::fd::{AsFd, OwnedFd};
use std::os::unix::net::UnixStream;

/// Takes the child's descriptor `number`, lets the child go on, and sends the listener with the state of the container's
/// process `pid`. The child waits in its next notified call until the agent answers.
pub(crate) fn serve(
    channel: &Channel,
    pidfd: &OwnedFd,
    number: i32,
    agent: Option<&Agent>,
    pid: i32,
    state: &State,
) -> Result<(), Fault> {
    let agent =
        agent.ok_or_else(|| Fault::new(Layer::OciRuntime, "seccomp", "a listener came where the filter has none"))?;
    let listener = listener(channel, pidfd, number)?;
    answer(channel, &Message::Taken)?;
    let mut body = serde_json::json!({
        "ociVersion": OCI_VERSION, "fds": ["seccompFd"], "pid": pid, "state": state_json(state)?,
    });
    if !agent.metadata.is_empty() {
        body["metadata"] = agent.metadata.clone().into();
    }
    let what = format!("config.json: /linux/seccomp/listenerPath: cannot reach the agent at {}", agent.path);
    let unreachable = |call: &str, error: &std::io::Error| {
        let fault = Fault::new(Layer::Caller, "seccomp", what.clone()).os(call, &agent.path, error);
        fault.kind(Kind::Unavailable).detail(|d| d.pointer = Some("/linux/seccomp/listenerPath".to_owned()))
    };
    let socket = UnixStream::connect(&agent.path).map_err(|error| unreachable("connect", &error))?;
    message::send_fd(&socket, body.to_string().as_bytes(), listener.as_fd())
        .map_err(|error| unreachable("sendmsg", &error.into()))
}

/// Taken, since sending is a call that the filter may hold up; without rights over the child it must be sent all the same.
fn listener(channel: &Channel, pidfd: &OwnedFd, number: i32) -> Result<OwnedFd, Fault> {
    let what = || "cannot take the seccomp listener from the container's process".to_owned();
    match rustix::process::pidfd_getfd(pidfd, number, PidfdGetfdFlags::empty()) {
        Err(Errno::PERM) => {
            answer(channel, &Message::Give)?;
            match channel.take().at("seccomp", "recvmsg", "", what)? {
                (Some(listener), _) => Ok(listener),
                (None, Some(Message::Failed(fault))) => Err(fault),
                (None, _) => Err(super::talk::died()),
            }
        }
        other => other.at("seccomp", "pidfd_getfd", "", what),
    }
}
