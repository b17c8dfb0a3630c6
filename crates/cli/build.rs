//! Generates the gRPC clients of CRI and of the admin contract; the messages are plimsoll-proto's.

use std::env;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = env::var("DEP_PLIMSOLL_PROTO_PROTOS")?;
    println!("cargo::rerun-if-changed={protos}");
    let roots = ["cri/runtime_service.proto", "cri/image_service.proto", "plimsoll/admin.proto"];
    let descriptors = protox::compile(roots, [&protos])?;
    tonic_prost_build::configure()
        .build_server(false)
        .extern_path(".runtime.v1", "::plimsoll_proto::cri")
        .extern_path(".plimsoll.admin.v1", "::plimsoll_proto::admin")
        .compile_fds(descriptors)?;
    Ok(())
}
