//! Generates the messages of each wire contract from `protos/`, without protoc, and keeps the descriptor set of each.
//! Stubs are generated where they are used (cri, cli): so no executor reaches the shim through this crate.

use std::error::Error;
use std::path::{Path, PathBuf};
use std::{env, fs};

/// One contract: the folder of its output, and the files that are its roots (imports follow by themselves).
struct Contract {
    name: &'static str,
    roots: &'static [&'static str],
}

const CONTRACTS: &[Contract] = &[
    Contract { name: "cri", roots: &["cri/runtime_service.proto", "cri/image_service.proto"] },
    Contract { name: "admin", roots: &["plimsoll/admin.proto"] },
    Contract {
        name: "shim",
        roots: &[
            "containerd/bootstrap/v1.proto",
            "containerd/cgroups/v1.proto",
            "containerd/cgroups/v2.proto",
            "containerd/events/forward.proto",
            "containerd/events/sandbox.proto",
            "containerd/events/task.proto",
            "containerd/sandbox/sandbox.proto",
            "containerd/task/v2.proto",
            "containerd/task/v3.proto",
            "containerd/types/descriptor.proto",
            "containerd/types/introspection.proto",
            "containerd/types/runc_options.proto",
            "plimsoll/shim/v1.proto",
        ],
    },
    Contract { name: "ttrpc", roots: &["ttrpc/ttrpc.proto"] },
];

fn main() -> Result<(), Box<dyn Error>> {
    let protos = PathBuf::from(env::var("CARGO_MANIFEST_DIR")?).join("protos");
    let out = PathBuf::from(env::var("OUT_DIR")?);
    println!("cargo::rerun-if-changed=protos");
    // Crates that depend on this one directly read it as DEP_PLIMSOLL_PROTO_PROTOS in their own build scripts.
    println!("cargo::metadata=protos={}", protos.display());
    for contract in CONTRACTS {
        generate(contract, &protos, &out.join(contract.name))?;
    }
    Ok(())
}

fn generate(contract: &Contract, protos: &Path, out: &Path) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(out)?;
    let mut compiler = protox::Compiler::new([protos])?;
    compiler.include_imports(true).open_files(contract.roots)?;
    fs::write(out.join("descriptors.bin"), compiler.encode_file_descriptor_set())?;
    let mut config = prost_build::Config::new();
    config.out_dir(out).include_file("packages.rs").compile_fds(compiler.file_descriptor_set())?;
    Ok(())
}
