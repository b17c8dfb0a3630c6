//! The JSON contracts of the stack: shapes, parsers and validation of foreign bytes. No IO.

pub mod cni;
pub mod mount;
pub mod runtime;
