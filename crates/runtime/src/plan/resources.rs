//! `linux.resources` as the writes to control files that they mean, for v1 and for v2. Pure: nothing is written here.

mod device_program;
mod devices;
mod unified;
mod v1;
mod v2;

pub(crate) use device_program::device_program;
pub(crate) use devices::{Rule, rules};
pub(crate) use v1::{v1_devices, v1_settings};
pub(crate) use v2::{swap_alone, v2_settings, weight};

use crate::fault::bad_config;
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::Resources;

/// One write. `controller` names the v1 tree (or the v2 controller that must be on).
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Setting {
    pub controller: String,
    pub file: String,
    pub value: String,
    /// Below `/linux/resources`.
    pub pointer: String,
    pub missing: Missing,
    /// Depends on a value that is written later: when the kernel finds it invalid, it is written once more after all others.
    pub retry: bool,
}

/// What to do when the kernel has no such file.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) enum Missing {
    /// The limit cannot be met.
    Refuse,
    /// It is met without: no limit was asked for, or a second file says the same.
    Ignore,
    /// This value to this file in its place.
    Instead(&'static str, String),
}

impl Setting {
    fn new(controller: &str, file: &str, value: impl ToString, pointer: impl Into<String>) -> Self {
        Self {
            controller: controller.to_owned(),
            file: file.to_owned(),
            value: value.to_string(),
            pointer: pointer.into(),
            missing: Missing::Refuse,
            retry: false,
        }
    }

    fn optional(mut self) -> Self {
        self.missing = Missing::Ignore;
        self
    }

    fn or(mut self, file: &'static str, value: impl ToString) -> Self {
        self.missing = Missing::Instead(file, value.to_string());
        self
    }

    fn retried(mut self) -> Self {
        self.retry = true;
        self
    }
}

/// Refuses what cannot be meant on any host.
pub(crate) fn check(resources: Resources) -> Result<Resources, Fault> {
    if let Some(memory) = &resources.memory {
        if let (Some(limit), Some(swap)) = (memory.limit, memory.swap)
            && swap > 0
            && limit > swap
        {
            return Err(bad_config(
                "/linux/resources/memory/swap",
                format!("{swap} is below the memory limit {limit}"),
            ));
        }
        for (value, field) in [(memory.limit, "limit"), (memory.swap, "swap"), (memory.reservation, "reservation")] {
            if value.is_some_and(|v| v < -1) {
                return Err(bad_config(&format!("/linux/resources/memory/{field}"), "below -1, which is no limit"));
            }
        }
        if let Some(swappiness) = memory.swappiness.filter(|s| *s > 100 && s.cast_signed() != -1) {
            return Err(bad_config("/linux/resources/memory/swappiness", format!("{swappiness} is above 100")));
        }
    }
    for (index, limit) in resources.hugepage_limits.iter().enumerate() {
        if limit.page_size.is_empty() || limit.page_size.contains('/') {
            let pointer = format!("/linux/resources/hugepageLimits/{index}/pageSize");
            return Err(bad_config(&pointer, format!("{:?} is no page size", limit.page_size)));
        }
    }
    unified::check(&resources.unified)?;
    rules(&resources.devices)?;
    Ok(resources)
}

fn pids(resources: &Resources, out: &mut Vec<Setting>) {
    if let Some(limit) = resources.pids.and_then(|p| p.limit) {
        // 0 cannot be held by a container that runs; systemd's TasksMax does not take it either.
        let value = if limit < 0 { "max".to_owned() } else { limit.max(1).to_string() };
        out.push(Setting::new("pids", "pids.max", value, "/pids/limit"));
    }
}

/// `rdma.max` is the same file in both versions.
fn rdma(resources: &Resources, out: &mut Vec<Setting>) {
    for (device, limit) in &resources.rdma {
        let mut value = device.clone();
        for (key, count) in [("hca_handle", limit.hca_handles), ("hca_object", limit.hca_objects)] {
            if let Some(count) = count {
                value.push_str(&format!(" {key}={count}"));
            }
        }
        out.push(Setting::new("rdma", "rdma.max", value, "/rdma"));
    }
}
