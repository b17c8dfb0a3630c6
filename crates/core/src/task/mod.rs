//! A task: one container as the shim line knows it. Takes a finished spec as bytes, a rootfs as mount descriptions, stdio
//! URIs and opaque options; knows no pods, no images and no provenance.

mod bundle;
mod exec;
mod process_signal;
mod start;

pub(crate) use bundle::{pid_pin, pin_pids, remove_bundle, unpin_pids, write_bundle};
pub(crate) use exec::capture;
pub(crate) use process_signal::signal_number;
pub(crate) use start::{NewTask, NotStarted, start};
