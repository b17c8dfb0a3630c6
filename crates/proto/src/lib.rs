//! The wire contracts as messages: generated from our own `.proto` files in `protos/`, which dependent build scripts
//! find through `DEP_PLIMSOLL_PROTO_PROTOS`. Holds no client and no server.

pub mod admin;
pub mod cri;
pub mod shim;
pub mod ttrpc;
