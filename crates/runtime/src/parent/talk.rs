//! What the two sides say to each other between the clone and the program.

use super::net_devices::{self, NetDevice};
use super::notify;
use crate::fault::At;
use crate::hooks;
use crate::hooks::Place;
use crate::plan::Agent;
use crate::record::Record;
use crate::sync::{Channel, Message};
use plimsoll_fault::{Fault, Layer};
use plimsoll_spec::runtime::Status;
use rustix::process::Pid;
use std::os::fd::OwnedFd;

/// What the child may ask for.
pub(super) struct Needs<'a> {
    pub child: Pid,
    pub pidfd: &'a OwnedFd,
    pub agent: Option<&'a Agent>,
    pub net_devices: &'a [NetDevice],
}

/// Answers the child until it is ready.
pub(super) fn await_ready(channel: &Channel, record: &Record, needs: &Needs<'_>) -> Result<(), Fault> {
    loop {
        let message = channel.receive().at("sync", "recv", "", || "the container's process cannot be heard".into())?;
        match message {
            Some(Message::Ready) => return Ok(()),
            Some(Message::Failed(fault)) => return Err(fault),
            Some(Message::Entered) => {
                net_devices::give(needs.net_devices, needs.child)?;
                answer(channel, &Message::Moved)?;
            }
            Some(Message::Mounted) => {
                let (state, place) = (record.state_as(Status::Creating), Place::Runtime { bundle: &record.bundle });
                hooks::run(&record.hooks.prestart, "/hooks/prestart", &state, place)?;
                hooks::run(&record.hooks.create_runtime, "/hooks/createRuntime", &state, place)?;
                answer(channel, &Message::Enter)?;
            }
            Some(Message::Listener(number)) => {
                let state = record.state_as(Status::Creating);
                notify::serve(channel, needs.pidfd, number, needs.agent, record.pid, &state)?;
            }
            Some(other) => return Err(out_of_turn(&other)),
            None => return Err(died()),
        }
    }
}

pub(crate) fn answer(channel: &Channel, message: &Message) -> Result<(), Fault> {
    channel.send(message).at("sync", "send", "", || "the container's process does not listen".into())
}

fn out_of_turn(message: &Message) -> Fault {
    Fault::new(Layer::OciRuntime, "sync", format!("the child said {message:?} out of turn"))
}

pub(crate) fn died() -> Fault {
    Fault::new(Layer::OciRuntime, "sync", "the container's process ended before its program was executed")
        .hint("it may have been killed: by a signal, or because the memory limit is too small to start")
}

/// After `Execute`: waits until the program is being executed, or for the fault.
pub(crate) fn await_exec(channel: &Channel) -> Result<(), Fault> {
    match channel.receive() {
        Ok(None) => Ok(()),
        Ok(Some(Message::Failed(fault))) => Err(fault),
        Ok(Some(other)) => Err(out_of_turn(&other)),
        Err(error) => Err(error).at("sync", "recv", "", || "the container's process cannot be heard".into()),
    }
}
