//! The systemd cgroup driver: a container's group is a transient scope, made and removed by systemd on our word. systemd needs
//! a process to start a scope with, so the container's init is cloned first and waits; systemd moves it.

mod bus;
mod properties;
mod text;
mod unit;
mod wire;

pub use unit::PROPERTY;
pub(crate) use unit::{Unit, UnitPlan};
