//! The generated gRPC server.
#![allow(clippy::all, clippy::pedantic, unreachable_pub, dead_code, reason = "generated")]

tonic::include_proto!("plimsoll.admin.v1");
