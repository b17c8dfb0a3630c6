//! `linux.resources` as the writes to control files that they mean, for v1 and for v2. Pure: nothing is written here.

mod device_program;
mod devices;
mod v1;
mod v2;

pub(crate) use device_program::device_program;
pub(crate) use devices::rules;
pub(crate) use v1::v1_settings;
pub(crate) use v2::v2_settings;

use crate::fault::{bad_config, unimplemented};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::Resources;

/// One write. `controller` names the v1 tree (or the v2 controller that must be on).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub controller: &'static str,
    pub file: String,
    pub value: String,
    /// Below `/linux/resources`.
    pub pointer: &'static str,
    /// The kernel may lack the file (swap accounting off): then the write is left out if the value asks for no limit.
    pub optional: bool,
}

impl Setting {
    fn new(controller: &'static str, file: &str, value: impl ToString, pointer: &'static str) -> Self {
        Self { controller, file: file.to_owned(), value: value.to_string(), pointer, optional: false }
    }

    fn optional(mut self) -> Self {
        self.optional = true;
        self
    }
}

/// Refuses what is not done and what cannot be meant.
pub(super) fn check(resources: Resources) -> Result<Resources, Fault> {
    if resources.network.as_ref().is_some_and(|n| n.class_id.is_some() || !n.priorities.is_empty()) {
        return Err(unimplemented("/linux/resources/network", "a network class or priority"));
    }
    if !resources.rdma.is_empty() {
        return Err(unimplemented("/linux/resources/rdma", "an RDMA limit"));
    }
    if let Some(cpu) = &resources.cpu
        && (cpu.realtime_runtime.is_some_and(|v| v != 0) || cpu.realtime_period.is_some_and(|v| v != 0))
    {
        return Err(unimplemented("/linux/resources/cpu", "a realtime limit"));
    }
    if let Some(memory) = &resources.memory
        && let (Some(limit), Some(swap)) = (memory.limit, memory.swap)
        && swap > 0
        && limit > swap
    {
        return Err(bad_config("/linux/resources/memory/swap", format!("{swap} is below the memory limit {limit}")));
    }
    rules(&resources.devices)?;
    Ok(resources)
}
