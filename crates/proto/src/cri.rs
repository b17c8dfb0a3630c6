//! CRI v1, package `runtime.v1`: the messages of RuntimeService and ImageService.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from protos/cri")]
#![allow(deprecated, reason = "deprecated fields are part of the contract and still sent by clients")]

include!(concat!(env!("OUT_DIR"), "/cri/runtime.v1.rs"));

/// The encoded `FileDescriptorSet`, for comparison with the published one and for canonical JSON.
pub const DESCRIPTORS: &[u8] = include_bytes!(concat!(env!("OUT_DIR"), "/cri/descriptors.bin"));
