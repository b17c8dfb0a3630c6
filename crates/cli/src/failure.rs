//! Faults at this edge: from a gRPC status to a `Fault`, and from a `Fault` to the terminal and the exit code.

use crate::output::{Format, plain, short_id};
use plimsoll_fault::{Fault, Kind, Layer};
use prost::Message;
use std::error::Error;
use std::process::ExitCode;
use tonic::{Code, Status};

const FAULT_TYPE: &str = "plimsoll.dev/fault.v1";

/// `google.rpc.Status`, the usual form of gRPC error details.
#[derive(Clone, PartialEq, Message)]
struct RichStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// The fault inside a status; a runtime that sends none gets its sentence wrapped, with the daemon as the layer, since
/// that is all that can be known.
pub(crate) fn from_status(rpc: &str, status: &Status) -> Fault {
    carried(status).unwrap_or_else(|| {
        let mut fault =
            Fault::new(Layer::Daemon, rpc, format!("{rpc}: {}", status.message())).kind(kind(status.code()));
        if let Some(broken) = status.source() {
            // Made on this side of the line: the connection broke under the call, whatever code that was given.
            fault = fault.kind(Kind::Unavailable).because(broken);
        }
        match status.code() {
            Code::Unimplemented => fault.hint("this runtime does not serve the call"),
            _ => fault,
        }
    })
}

fn carried(status: &Status) -> Option<Fault> {
    let rich = RichStatus::decode(status.details()).ok()?;
    let any = rich.details.into_iter().find(|any| any.type_url == FAULT_TYPE)?;
    Fault::from_json(std::str::from_utf8(&any.value).ok()?)
}

fn kind(code: Code) -> Kind {
    match code {
        Code::InvalidArgument | Code::OutOfRange => Kind::InvalidArgument,
        Code::NotFound => Kind::NotFound,
        Code::AlreadyExists => Kind::AlreadyExists,
        Code::FailedPrecondition | Code::Aborted => Kind::FailedPrecondition,
        Code::PermissionDenied => Kind::PermissionDenied,
        Code::Unauthenticated => Kind::Unauthenticated,
        Code::ResourceExhausted => Kind::ResourceExhausted,
        Code::DeadlineExceeded => Kind::DeadlineExceeded,
        Code::Unavailable => Kind::Unavailable,
        Code::Unimplemented => Kind::Unimplemented,
        Code::Cancelled => Kind::Cancelled,
        Code::DataLoss => Kind::DataLoss,
        Code::Ok | Code::Unknown | Code::Internal => Kind::Internal,
    }
}

/// The exit code for a fault. Where the container's own code is returned (`failed` is 125), a program that cannot be executed
/// gives what shells give: 127 when it is not there, 126 when it cannot be run.
fn exit_code(fault: &Fault, failed: u8) -> u8 {
    let details = fault.details();
    match (failed, details.syscall.as_deref(), details.errno) {
        (125, Some("execve" | "execveat"), Some(ENOENT)) => 127,
        (125, Some("execve" | "execveat"), _) => 126,
        _ => failed,
    }
}

const ENOENT: i32 = 2;

/// What `plim explain` can be asked about: faults of the request itself have no layers worth a drawing.
fn subject(fault: &Fault) -> Option<String> {
    let subject = fault.subject();
    let id = subject.container.as_ref().or(subject.pod.as_ref()).map(|id| short_id(id));
    id.or_else(|| subject.image.clone()).filter(|_| *fault.layer() != Layer::Caller)
}

/// Prints the fault once: one line for people, its JSON for programs.
pub(crate) fn report(fault: &Fault, format: Format, failed: u8) -> ExitCode {
    match format {
        Format::Table => {
            eprintln!("plim: {}", plain(&fault.to_string()));
            if let Some(subject) = subject(fault) {
                eprintln!("plim: the layers: plim explain {}", plain(&subject));
            }
        }
        Format::Json => eprintln!("{}", fault.to_json()),
    }
    ExitCode::from(exit_code(fault, failed))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_in_the_details_comes_out_whole() {
        let sent = Fault::new(Layer::Registry, "resolve", "401 from r").kind(Kind::Unauthenticated);
        let any = prost_types::Any { type_url: FAULT_TYPE.into(), value: sent.to_json().into_bytes() };
        let rich = RichStatus { code: 16, message: sent.to_string(), details: vec![any] };
        let status = Status::with_details(Code::Unauthenticated, "x", rich.encode_to_vec().into());
        assert_eq!(from_status("PullImage", &status), sent);
    }

    #[test]
    fn a_program_that_cannot_be_executed_gives_the_codes_of_shells() {
        let fault = |errno| Fault::new(Layer::OciRuntime, "exec", "x").syscall("execve", "/x", errno);
        assert_eq!((exit_code(&fault(2), 125), exit_code(&fault(13), 125), exit_code(&fault(2), 1)), (127, 126, 1));
        assert_eq!(exit_code(&Fault::invalid("a", "b"), 125), 125);
    }

    #[test]
    fn a_connection_that_breaks_under_a_call_is_unavailable() {
        let broken = Status::from_error(Box::new(std::io::Error::from_raw_os_error(104)));
        assert_eq!(from_status("ContainerStatus", &broken).class(), Kind::Unavailable);
    }

    #[test]
    fn a_foreign_status_keeps_its_sentence_and_code() {
        let fault = from_status("StopContainer", &Status::not_found("no such container"));
        assert_eq!(fault.class(), Kind::NotFound);
        assert!(fault.to_string().contains("no such container"));
    }
}
