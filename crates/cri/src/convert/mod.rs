//! CRI messages to `core` and `image` types and back, one to one. A field that is not acted on and would change what a
//! pod is or may do is refused here by name; what the host cannot do is refused by `core`, which knows the host.

pub(crate) mod container;
pub(crate) mod image;
pub(crate) mod mounts;
pub(crate) mod pod;
pub(crate) mod resources;
pub(crate) mod security;
pub(crate) mod signal;
pub(crate) mod stats;

use plimsoll_fault::{Fault, Kind};

/// A value of an enum field, unless it is a number that this version does not know.
fn known<E: TryFrom<i32>>(field: &str, number: i32) -> Result<E, Fault> {
    E::try_from(number).map_err(|_| invalid(field, format!("{number} is not a known value")))
}

fn invalid(field: &str, complaint: impl std::fmt::Display) -> Fault {
    Fault::invalid("request", format!("{field}: {complaint}")).detail(|d| d.pointer = Some(pointer(field)))
}

/// A field that is understood but not done.
fn not_done(field: &str) -> Fault {
    Fault::invalid("request", format!("{field} is not implemented"))
        .kind(Kind::Unimplemented)
        .detail(|d| d.pointer = Some(pointer(field)))
}

/// `config.mounts[3].image` as RFC 6901.
fn pointer(field: &str) -> String {
    format!("/{}", field.replace("].", "/").replace(['.', '['], "/").replace(']', ""))
}

#[cfg(test)]
mod tests;
