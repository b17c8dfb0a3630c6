//! Fault → gRPC status: the message is the fault's one line, the details hold the fault itself.

use plimsoll_fault::{Fault, Kind};
use prost::Message;
use tonic::{Code, Status};

/// The type of the detail that carries a fault as JSON, on every line that has typed details.
const FAULT_TYPE: &str = "plimsoll.dev/fault.v1";

/// Longest message: it travels in an HTTP/2 header, and kubelet copies it into the pod's events.
const MAX_LINE: usize = 4096;

/// Largest fault put into the details, for the same reason.
const MAX_DETAIL: usize = 8192;

/// google.rpc.Status, the form of `grpc-status-details-bin`.
#[derive(Clone, PartialEq, Message)]
struct RichStatus {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<prost_types::Any>,
}

/// The status of `fault`, for every gRPC contract of the daemon.
pub fn status(fault: &Fault) -> Status {
    let code = code(fault.class());
    let line = cut(&fault.to_string());
    let json = fault.to_json();
    if json.len() > MAX_DETAIL {
        return Status::new(code, line);
    }
    let detail = prost_types::Any { type_url: FAULT_TYPE.to_owned(), value: json.into_bytes() };
    let rich = RichStatus { code: code as i32, message: line.clone(), details: vec![detail] };
    Status::with_details(code, line, rich.encode_to_vec().into())
}

fn code(kind: Kind) -> Code {
    match kind {
        Kind::InvalidArgument => Code::InvalidArgument,
        Kind::NotFound => Code::NotFound,
        Kind::AlreadyExists => Code::AlreadyExists,
        Kind::FailedPrecondition => Code::FailedPrecondition,
        Kind::PermissionDenied => Code::PermissionDenied,
        Kind::Unauthenticated => Code::Unauthenticated,
        Kind::ResourceExhausted => Code::ResourceExhausted,
        Kind::DeadlineExceeded => Code::DeadlineExceeded,
        Kind::Unavailable => Code::Unavailable,
        Kind::Unimplemented => Code::Unimplemented,
        Kind::Cancelled => Code::Cancelled,
        Kind::DataLoss => Code::DataLoss,
        Kind::Internal => Code::Internal,
    }
}

/// At most [`MAX_LINE`] bytes, cut between characters.
fn cut(line: &str) -> String {
    if line.len() <= MAX_LINE {
        return line.to_owned();
    }
    let mut end = MAX_LINE - 4;
    while !line.is_char_boundary(end) {
        end -= 1;
    }
    format!("{} ...", &line[..end])
}

#[cfg(test)]
mod tests {
    use super::*;
    use plimsoll_fault::Layer;

    #[test]
    fn the_line_names_the_layer_and_the_details_hold_the_fault() {
        let fault = Fault::new(Layer::Registry, "resolve", "401 from r").kind(Kind::Unauthenticated);
        let status = status(&fault);
        assert_eq!((status.code(), status.message()), (Code::Unauthenticated, "registry: 401 from r"));
        let rich = RichStatus::decode(status.details()).expect("decodes");
        let json = String::from_utf8(rich.details[0].value.clone()).expect("text");
        assert_eq!(Fault::from_json(&json), Some(fault));
    }

    #[test]
    fn a_long_line_is_cut_between_characters() {
        let status = status(&Fault::new(Layer::Image, "x", "é".repeat(5000)));
        assert!(status.message().len() <= MAX_LINE && status.message().ends_with(" ..."));
    }
}
