//! The shim, driven over its real socket by our daemon's client.
#![cfg(feature = "privileged")]

#[path = "shim/harness.rs"]
mod harness;
#[path = "shim/hostile.rs"]
mod hostile;
#[path = "shim/logs.rs"]
mod logs;
#[path = "shim/programs.rs"]
mod programs;
#[path = "shim/sandbox.rs"]
mod sandbox;
#[path = "shim/stdio.rs"]
mod stdio;
#[path = "shim/tasks.rs"]
mod tasks;
#[path = "shim/workers.rs"]
mod workers;
