//! From a request frame to the function that serves it: one table per service.

use super::{Reply, Server};
use crate::{extension, sandbox, task};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::service;
use prost::Message;

/// One call as its function sees it.
#[derive(Debug)]
pub(crate) struct Call<'a> {
    pub(crate) payload: &'a [u8],
    pub(crate) reply: Reply,
}

#[derive(Debug)]
pub(crate) enum Answer {
    Now(Vec<u8>),
    /// The function keeps `Call::reply` and answers by [`Server::answer`].
    Later,
}

pub(crate) type Handled = Result<Answer, Fault>;

type Method = fn(&mut Server, &Call<'_>) -> Handled;

const TASK: &[(&str, Method)] = &[
    ("State", task::state::handle),
    ("Create", task::create::handle),
    ("Start", task::start::handle),
    ("Delete", task::delete::handle),
    ("Pids", task::pids::handle),
    ("Pause", task::freeze::handle_pause),
    ("Resume", task::freeze::handle_resume),
    ("Kill", task::kill::handle),
    ("Exec", task::exec::handle),
    ("Stats", task::stats::handle),
    ("Update", task::update::handle),
    ("ResizePty", task::resize_pty::handle),
    ("CloseIO", task::close_io::handle),
    ("Wait", task::wait::handle),
    ("Connect", task::connect::handle),
    ("Shutdown", task::shutdown::handle),
];

const SANDBOX: &[(&str, Method)] = &[
    ("CreateSandbox", sandbox::create::handle),
    ("StartSandbox", sandbox::start::handle),
    ("Platform", sandbox::platform::handle),
    ("StopSandbox", sandbox::stop::handle),
    ("WaitSandbox", sandbox::wait::handle),
    ("SandboxStatus", sandbox::status::handle),
    ("PingSandbox", sandbox::ping::handle),
    ("ShutdownSandbox", sandbox::shutdown::handle),
];

const EXTENSION: &[(&str, Method)] = &[
    ("ReopenLog", extension::reopen_log::handle),
    ("Exit", extension::exit::handle),
    ("List", extension::list::handle),
];

impl Server {
    pub(super) fn dispatch(&mut self, service: &str, method: &str, call: &Call<'_>) -> Handled {
        let table = match service {
            service::TASK_V2 | service::TASK_V3 => TASK,
            service::SANDBOX => SANDBOX,
            service::EXTENSION => EXTENSION,
            _ => return Err(unimplemented(format!("service {service:?}"))),
        };
        match table.iter().find(|(name, _)| *name == method) {
            Some((_, serve)) => serve(self, call),
            None => Err(unimplemented(format!("{service}.{method}"))),
        }
    }
}

fn unimplemented(what: String) -> Fault {
    Fault::new(Layer::Shim, "dispatch", format!("{what} is not implemented by this shim")).kind(Kind::Unimplemented)
}

/// The request's message.
pub(crate) fn decode<Q: Message + Default>(call: &Call<'_>) -> Result<Q, Fault> {
    Q::decode(call.payload).map_err(|e| Fault::invalid("decode", "the request cannot be read").because(&e))
}

pub(crate) fn answer<A: Message>(message: &A) -> Handled {
    Ok(Answer::Now(message.encode_to_vec()))
}
