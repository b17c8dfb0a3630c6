//! ttrpc: the frames (a codec without IO, the same for server and client) and the messages within them.
//! Owns no socket and no call table.

mod frame;
mod status;

pub use frame::{Decoded, Decoder, FrameError, HEADER_LENGTH, Header, Kind, MAX_DATA, encode};
pub use status::{Code, fault_from_status, status_from_fault};

#[allow(clippy::all, clippy::pedantic, unreachable_pub)]
mod generated {
    include!(concat!(env!("OUT_DIR"), "/ttrpc/packages.rs"));
}

pub use generated::google::rpc::Status;
pub use generated::ttrpc::{KeyValue, Request, Response, StringList};

/// Key of `Request.metadata` that names the containerd namespace of a call.
pub const NAMESPACE_METADATA: &str = "containerd-namespace-ttrpc";
