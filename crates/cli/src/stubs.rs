//! The generated gRPC clients.

pub(crate) mod cri {
    #![allow(clippy::all, clippy::pedantic, unreachable_pub, dead_code, reason = "generated")]
    tonic::include_proto!("runtime.v1");
}

pub(crate) mod admin {
    #![allow(clippy::all, clippy::pedantic, unreachable_pub, dead_code, reason = "generated")]
    tonic::include_proto!("plimsoll.admin.v1");
}
