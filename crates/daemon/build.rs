//! Generates the gRPC server of the admin contract; the messages are plimsoll-proto's.

use std::env;
use std::error::Error;

fn main() -> Result<(), Box<dyn Error>> {
    let protos = env::var("DEP_PLIMSOLL_PROTO_PROTOS")?;
    println!("cargo::rerun-if-changed={protos}");
    let descriptors = protox::compile(["plimsoll/admin.proto"], [&protos])?;
    tonic_prost_build::configure()
        .build_client(false)
        .extern_path(".plimsoll.admin.v1", "::plimsoll_proto::admin")
        .compile_fds(descriptors)?;
    Ok(())
}
