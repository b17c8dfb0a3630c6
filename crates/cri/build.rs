//! Generates the gRPC servers of CRI; the messages are plimsoll-proto's.

use std::env;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = env::var("DEP_PLIMSOLL_PROTO_PROTOS")?;
    println!("cargo::rerun-if-changed={protos}");
    let descriptors = protox::compile(["cri/runtime_service.proto", "cri/image_service.proto"], [&protos])?;
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".runtime.v1", "::plimsoll_proto::cri")
        .compile_fds(descriptors)?;
    Ok(())
}
