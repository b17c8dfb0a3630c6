//! The generated gRPC servers.
#![allow(clippy::all, clippy::pedantic, unreachable_pub, dead_code, reason = "generated")]

tonic::include_proto!("runtime.v1");
