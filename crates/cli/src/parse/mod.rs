//! The forms that people write on the command line, parsed into what CRI takes. Pure; each refuses by name.

pub(crate) mod duration;
pub(crate) mod env;
pub(crate) mod memory;
pub(crate) mod port;
pub(crate) mod user;
pub(crate) mod volume;
