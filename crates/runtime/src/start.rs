//! `start`: lets a created container's init execute its program.

use crate::create::started;
use crate::fault::At;
use crate::parent::init::start_address;
use crate::parent::talk::await_exec;
use crate::record::{Record, START_SOCKET};
use crate::sync::{Channel, Message};
use crate::{Root, kill};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::Status;
use rustix::net::{AddressFamily, SocketFlags, SocketType};
use rustix::process::Signal;
use std::path::Path;

/// Returns once the program is being executed, or with the fault of the execution (`exec: "/x": no such file or directory`).
pub fn start(root: &Root, id: &str) -> Result<(), Fault> {
    let (record, folder) = Record::load(root, id)?;
    steps(&record, &folder).map_err(|fault| fault.in_container(id))
}

fn steps(record: &Record, folder: &Path) -> Result<(), Fault> {
    let status = record.status(folder);
    if status != Status::Created {
        let what = match status {
            Status::Stopped => "cannot start a container that has stopped".to_owned(),
            other => format!("cannot start an already {other} container"),
        };
        return Err(Fault::new(Layer::OciRuntime, "start", what).kind(Kind::FailedPrecondition));
    }
    let channel = knock(folder)?;
    let what = || "cannot release the container's init".to_owned();
    // From here on the container is no longer "created", whether its program can be executed or not; and should this process be
    // killed now, the init ends.
    let socket = folder.join(START_SOCKET);
    std::fs::remove_file(&socket).at("start", "unlink", &socket, what)?;
    channel.send(&Message::Execute).at("start", "send", folder, what)?;
    await_exec(&channel)?;
    started(record).map_err(|fault| match kill::init(record, Signal::KILL.as_raw()) {
        Ok(()) => fault,
        Err(second) => fault.why(format!("killing the container failed: {second}")),
    })
}

fn knock(folder: &Path) -> Result<Channel, Fault> {
    let what = || "cannot reach the container's init".to_owned();
    let socket = rustix::net::socket_with(AddressFamily::UNIX, SocketType::SEQPACKET, SocketFlags::CLOEXEC, None)
        .at("start", "socket", folder, what)?;
    let (_dir, address) = start_address(folder, what)?;
    rustix::net::connect(&socket, &address).at("start", "connect", folder, what)?;
    Ok(Channel::from_socket(socket))
}
