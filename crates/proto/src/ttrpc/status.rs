//! A fault as a ttrpc status and back. The status of a foreign shim has no fault in it: its message becomes one.

use super::Status;
use crate::shim::type_url;
use plimsoll_fault::{Fault, Kind, Layer};

/// The gRPC status codes that this stack uses.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(i32)]
pub enum Code {
    Ok = 0,
    Cancelled = 1,
    Unknown = 2,
    InvalidArgument = 3,
    DeadlineExceeded = 4,
    NotFound = 5,
    AlreadyExists = 6,
    PermissionDenied = 7,
    ResourceExhausted = 8,
    FailedPrecondition = 9,
    Unimplemented = 12,
    Internal = 13,
    Unavailable = 14,
    DataLoss = 15,
    Unauthenticated = 16,
}

impl From<Kind> for Code {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::InvalidArgument => Self::InvalidArgument,
            Kind::NotFound => Self::NotFound,
            Kind::AlreadyExists => Self::AlreadyExists,
            Kind::FailedPrecondition => Self::FailedPrecondition,
            Kind::PermissionDenied => Self::PermissionDenied,
            Kind::Unauthenticated => Self::Unauthenticated,
            Kind::ResourceExhausted => Self::ResourceExhausted,
            Kind::DeadlineExceeded => Self::DeadlineExceeded,
            Kind::Unavailable => Self::Unavailable,
            Kind::Unimplemented => Self::Unimplemented,
            Kind::Cancelled => Self::Cancelled,
            Kind::DataLoss => Self::DataLoss,
            // containerd's clients read Unknown as "an error like any other".
            Kind::Internal => Self::Unknown,
        }
    }
}

fn kind_of(code: i32) -> Kind {
    match code {
        1 => Kind::Cancelled,
        3 => Kind::InvalidArgument,
        4 => Kind::DeadlineExceeded,
        5 => Kind::NotFound,
        6 => Kind::AlreadyExists,
        7 => Kind::PermissionDenied,
        8 => Kind::ResourceExhausted,
        9 => Kind::FailedPrecondition,
        12 => Kind::Unimplemented,
        14 => Kind::Unavailable,
        15 => Kind::DataLoss,
        16 => Kind::Unauthenticated,
        _ => Kind::Internal,
    }
}

/// The status that carries `fault`: its one line for people, its JSON for programs.
pub fn status_from_fault(fault: &Fault) -> Status {
    let detail = prost_types::Any { type_url: type_url::FAULT.to_owned(), value: fault.to_json().into_bytes() };
    Status { code: Code::from(fault.class()) as i32, message: fault.to_string(), details: vec![detail] }
}

/// The fault in `status`, or one of layer `shim` and phase `phase` made of its message.
pub fn fault_from_status(status: &Status, phase: &str) -> Fault {
    let carried = status.details.iter().find(|any| any.type_url == type_url::FAULT);
    carried
        .and_then(|any| std::str::from_utf8(&any.value).ok())
        .and_then(Fault::from_json)
        .unwrap_or_else(|| Fault::new(Layer::Shim, phase, status.message.clone()).kind(kind_of(status.code)))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_fault_crosses_the_line_whole() {
        let fault =
            Fault::new(Layer::OciRuntime, "mount", "cannot mount proc").kind(Kind::PermissionDenied).in_container("c");
        let status = status_from_fault(&fault);
        assert_eq!(status.code, 7);
        assert_eq!(fault_from_status(&status, "create"), fault);
    }

    #[test]
    fn a_foreign_status_becomes_a_fault_of_the_shim() {
        let status = Status { code: 5, message: "no such task".into(), details: Vec::new() };
        let fault = fault_from_status(&status, "state");
        assert_eq!((fault.layer(), fault.class()), (&Layer::Shim, Kind::NotFound));
    }
}
