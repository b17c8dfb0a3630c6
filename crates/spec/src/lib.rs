//! The JSON contracts of the stack: shapes, parsers and validation of foreign bytes. No IO.

pub mod cni;
pub mod digest;
pub mod image;
pub mod mount;
pub mod platform;
pub mod reference;
pub mod runtime;
