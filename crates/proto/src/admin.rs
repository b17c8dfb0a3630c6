//! The admin contract, package `plimsoll.admin.v1`.

#![allow(missing_docs, clippy::all, clippy::pedantic, reason = "generated from protos/plimsoll/admin.proto")]

include!(concat!(env!("OUT_DIR"), "/admin/plimsoll.admin.v1.rs"));
