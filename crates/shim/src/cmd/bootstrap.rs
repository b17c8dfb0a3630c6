//! The parameters that containerd 2.3 and later writes to standard input of `start`, and the three forms of its answer.

use super::start::fault;
use crate::args::Args;
use crate::durable::whole;
use plimsoll_fault::Fault;
use plimsoll_proto::shim::bootstrap::{BootstrapParams, BootstrapResult};
use prost::Message;
use rustix::termios::isatty;
use serde::Serialize;
use std::io::{self, Write};
use std::path::PathBuf;

/// Longest message that is read.
const LIMIT: u64 = 4 << 20;

/// A daemon tells by this variable which answers it reads; before containerd 1.7 there is none.
const MAX_VERSION: &str = "MAX_SHIM_VERSION";

/// Which answer the daemon reads.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Form {
    /// The first one: nothing but the address, Task v2.
    Address,
    Json,
    Protobuf,
}

#[derive(Serialize)]
struct Json<'a> {
    version: u32,
    address: &'a str,
    protocol: &'a str,
}

/// Takes from standard input what it says of `args`, and tells how to answer. What a person types is not waited for.
pub(crate) fn read(args: Args) -> Result<(Args, Form), Fault> {
    let input = std::io::stdin();
    let message = if isatty(&input) { Vec::new() } else { whole(input, LIMIT).map_err(unreadable)? };
    let most = std::env::var(MAX_VERSION).ok().and_then(|text| text.parse().ok());
    Ok(understand(args, &message, most))
}

/// Before 2.3 the message is the runtime's options or nothing, and options can be read as parameters too: these say the same id
/// and namespace as the command line does.
fn understand(mut args: Args, message: &[u8], most: Option<u32>) -> (Args, Form) {
    let params = BootstrapParams::decode(message).ok();
    let params =
        params.filter(|p| p.instance_id == args.id && p.namespace == args.namespace && !p.namespace.is_empty());
    let Some(params) = params else {
        return (args, if most.is_some_and(|most| most > 2) { Form::Json } else { Form::Address });
    };
    if let Some(folder) = params.socket_dir.filter(|folder| !folder.is_empty()) {
        args.socket_dir = PathBuf::from(folder);
    }
    let events = params.containerd_ttrpc_address;
    let events = events.strip_prefix("unix://").unwrap_or(&events);
    if !events.is_empty() {
        args.events = Some(events.to_owned());
    }
    (args, Form::Protobuf)
}

pub(crate) fn answer(form: Form, address: &str) -> Result<(), Fault> {
    let protocol = "ttrpc";
    let bytes = match form {
        Form::Address => address.as_bytes().to_owned(),
        Form::Json => serde_json::to_vec(&Json { version: 3, address, protocol })
            .map_err(|e| fault("cannot write the answer").because(&e))?,
        Form::Protobuf => {
            let (address, protocol) = (address.to_owned(), protocol.to_owned());
            BootstrapResult { version: 3, address, protocol, ..Default::default() }.encode_to_vec()
        }
    };
    std::io::stdout().write_all(&bytes).map_err(|e| fault("cannot write the answer").because(&e))
}

fn unreadable(error: io::Error) -> Fault {
    if error.kind() == io::ErrorKind::FileTooLarge {
        return Fault::invalid("start", "the parameters are too long").because(&error);
    }
    fault("cannot read the parameters").because(&error)
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_proto::shim::runc::Options;

    fn args() -> Args {
        let words = "-namespace k8s.io -address /run/c.sock -id pod start";
        crate::args::parse(words.split(' ').map(str::to_owned)).expect("a call")
    }

    #[test]
    fn parameters_are_taken_and_answered_in_kind() {
        let params = BootstrapParams {
            instance_id: "pod".to_owned(),
            namespace: "k8s.io".to_owned(),
            containerd_ttrpc_address: "/run/c.sock.ttrpc".to_owned(),
            socket_dir: Some("/run/s".to_owned()),
            ..Default::default()
        };
        let (args, form) = understand(args(), &params.encode_to_vec(), Some(2));
        assert_eq!(form, Form::Protobuf);
        assert_eq!(args.socket_dir, PathBuf::from("/run/s"));
        assert_eq!(args.events.as_deref(), Some("/run/c.sock.ttrpc"));
    }

    #[test]
    fn options_are_no_parameters_though_they_can_be_read_as_such() {
        let any = prost_types::Any {
            type_url: "containerd.runc.v1.Options".to_owned(),
            value: Options { binary_name: "k8s.io".to_owned(), ..Default::default() }.encode_to_vec(),
        };
        let message = any.encode_to_vec();
        assert!(BootstrapParams::decode(message.as_slice()).is_ok(), "the trap is there");
        assert_eq!(understand(args(), &message, Some(2)).1, Form::Address);
        assert_eq!(understand(args(), &message, Some(3)).1, Form::Json);
        assert_eq!(understand(args(), &[], None).1, Form::Address);
        assert_eq!(understand(args(), b"\xff\xff", None).1, Form::Address);
    }
}
