//! What the specification has and this runtime not yet: refused by name, never ignored.

use crate::fault::{bad_config, unimplemented};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{Linux, Spec};

pub(super) fn whole(spec: &Spec) -> Result<(), Fault> {
    version(&spec.oci_version)?;
    if let Some(linux) = &spec.linux {
        self::linux(linux)?;
    }
    Ok(())
}

/// 1.x of any minor: newer minors only add fields.
fn version(version: &str) -> Result<(), Fault> {
    match version.split('.').next() {
        Some("1") => Ok(()),
        _ => Err(bad_config("/ociVersion", format!("{version:?} is not a version 1"))),
    }
}

fn linux(linux: &Linux) -> Result<(), Fault> {
    let refused = [(linux.intel_rdt.is_some(), "/linux/intelRdt", "resource director technology")];
    first(&refused)
}

fn first(refused: &[(bool, &str, &str)]) -> Result<(), Fault> {
    match refused.iter().find(|(is, ..)| *is) {
        Some((_, pointer, what)) => Err(unimplemented(pointer, *what)),
        None => Ok(()),
    }
}
