//! What the specification has and this runtime not yet: refused by name, never ignored.

use crate::fault::{bad_config, unimplemented};
use plimsoll_fault::Fault;
use plimsoll_spec::runtime::{Linux, Process, Spec};

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
    let refused = [
        (!linux.net_devices.is_empty(), "/linux/netDevices", "moving network devices"),
        (linux.intel_rdt.is_some(), "/linux/intelRdt", "resource director technology"),
        (linux.memory_policy.is_some(), "/linux/memoryPolicy", "a memory policy"),
        (linux.personality.is_some(), "/linux/personality", "a personality"),
        (has(linux.mount_label.as_ref()), "/linux/mountLabel", "an SELinux mount label"),
    ];
    first(&refused)
}

pub(super) fn process(process: &Process, pointer: &str) -> Result<(), Fault> {
    let refused = [
        (has(process.apparmor_profile.as_ref()), "apparmorProfile", "AppArmor"),
        (has(process.selinux_label.as_ref()), "selinuxLabel", "SELinux"),
        (process.scheduler.is_some(), "scheduler", "a scheduler"),
        (process.io_priority.is_some(), "ioPriority", "an IO priority"),
        (process.exec_cpu_affinity.is_some(), "execCPUAffinity", "exec CPU affinity"),
    ];
    for (is, field, what) in refused {
        if is {
            return Err(unimplemented(&format!("{pointer}/{field}"), what));
        }
    }
    Ok(())
}

fn has(text: Option<&String>) -> bool {
    text.is_some_and(|t| !t.is_empty())
}

fn first(refused: &[(bool, &str, &str)]) -> Result<(), Fault> {
    match refused.iter().find(|(is, ..)| *is) {
        Some((_, pointer, what)) => Err(unimplemented(pointer, *what)),
        None => Ok(()),
    }
}
