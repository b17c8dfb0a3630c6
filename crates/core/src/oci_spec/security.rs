//! Seccomp, AppArmor, masked and read-only paths.

use super::{Builder, Inputs, Origin, Warnings, default_profile};
use crate::container::{ApparmorProfile, SeccompProfile};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::runtime::seccomp::Seccomp;
use serde_json::Value;
use std::collections::BTreeSet;
use std::io::Read;

/// What a container could learn about or do to the host through /proc and /sys. The last but one is GHSA-7ww5 (RAPL).
const MASKED: [&str; 12] = [
    "/proc/acpi",
    "/proc/asound",
    "/proc/interrupts",
    "/proc/kcore",
    "/proc/keys",
    "/proc/latency_stats",
    "/proc/timer_list",
    "/proc/timer_stats",
    "/proc/sched_debug",
    "/proc/scsi",
    "/sys/devices/virtual/powercap",
    "/sys/firmware",
];
const READONLY: [&str; 5] = ["/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"];

/// Masked and read-only paths of containers that are not privileged.
pub(crate) fn hidden_paths() -> (&'static [&'static str], &'static [&'static str]) {
    (&MASKED, &READONLY)
}

/// A profile larger than this is no profile.
const PROFILE: u64 = 1 << 20;

pub(super) fn set(
    spec: &mut Builder,
    inputs: &Inputs<'_>,
    capabilities: &BTreeSet<String>,
    warnings: &mut Warnings,
) -> Result<()> {
    paths(spec, inputs)?;
    seccomp(spec, inputs, capabilities)?;
    apparmor(spec, inputs, warnings)
}

fn paths(spec: &mut Builder, inputs: &Inputs<'_>) -> Result<()> {
    let security = &inputs.config.security;
    if security.privileged {
        return Ok(());
    }
    let lists = [
        ("/linux/maskedPaths", &security.masked_paths, MASKED.as_slice(), "masked_paths"),
        ("/linux/readonlyPaths", &security.readonly_paths, READONLY.as_slice(), "readonly_paths"),
    ];
    for (pointer, asked, default, name) in lists {
        match asked {
            Some(paths) => spec.set(pointer, paths, Origin::request(format!("container.security.{name}")))?,
            None => spec.set(pointer, default, Origin::default(name))?,
        }
    }
    Ok(())
}

fn seccomp(spec: &mut Builder, inputs: &Inputs<'_>, capabilities: &BTreeSet<String>) -> Result<()> {
    let security = &inputs.config.security;
    let request = || Origin::request("container.security.seccomp");
    let (profile, origin) = match &security.seccomp {
        _ if security.privileged => return Ok(()),
        Some(SeccompProfile::Unconfined) => return Ok(()),
        None if !inputs.seccomp_by_default => return Ok(()),
        None | Some(SeccompProfile::RuntimeDefault) => match (&inputs.handler.seccomp, &security.seccomp) {
            (Some(path), _) => (load(path)?, Origin::handler(inputs.handler_name, "seccomp")),
            (None, None) => (default(capabilities), Origin::handler("daemon", "seccomp_by_default")),
            (None, Some(_)) => (default(capabilities), request()),
        },
        Some(SeccompProfile::Localhost(path)) => (load(std::path::Path::new(path))?, request()),
    };
    spec.set("/linux/seccomp", profile, origin)
}

fn default(capabilities: &BTreeSet<String>) -> Value {
    let names: Vec<&str> = capabilities.iter().map(String::as_str).collect();
    default_profile(std::env::consts::ARCH, &names)
}

/// The profile as written; it must have the shape of an OCI one.
fn load(path: &std::path::Path) -> Result<Value> {
    let fault = |what: &str| {
        Fault::new(Layer::Spec, "assemble", format!("seccomp profile {path:?} {what}"))
            .kind(Kind::InvalidArgument)
            .detail(|d| d.pointer = Some("/linux/seccomp".into()))
    };
    if !path.is_absolute() {
        return Err(fault("is not an absolute path"));
    }
    let file = std::fs::File::open(path).map_err(|e| fault("cannot be opened").because(&e))?;
    let mut text = Vec::new();
    file.take(PROFILE + 1).read_to_end(&mut text).map_err(|e| fault("cannot be read").because(&e))?;
    if text.len() as u64 > PROFILE {
        return Err(fault("is larger than 1 MiB"));
    }
    let shape = |e: serde_json::Error| fault("is not a seccomp profile in OCI form").because(&e);
    serde_json::from_slice::<Seccomp>(&text).map_err(shape)?;
    serde_json::from_slice(&text).map_err(shape)
}

fn apparmor(spec: &mut Builder, inputs: &Inputs<'_>, warnings: &mut Warnings) -> Result<()> {
    let security = &inputs.config.security;
    match &security.apparmor {
        None | Some(ApparmorProfile::Unconfined) => Ok(()),
        Some(ApparmorProfile::RuntimeDefault) => {
            if inputs.host.apparmor && !security.privileged {
                warnings.push("no AppArmor profile is applied: RuntimeDefault is not there yet".into());
            }
            Ok(())
        }
        Some(ApparmorProfile::Localhost(name)) if inputs.host.apparmor => {
            spec.set("/process/apparmorProfile", name, Origin::request("container.security.apparmor"))
        }
        Some(ApparmorProfile::Localhost(name)) => Err(Fault::new(
            Layer::Kernel,
            "assemble",
            format!("AppArmor profile {name:?} was asked for, but this host has no AppArmor"),
        )
        .kind(Kind::FailedPrecondition)),
    }
}
