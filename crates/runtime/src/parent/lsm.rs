//! Which security modules this machine runs, asked only when the config wants a label or a profile.

use crate::plan::ProcessPlan;
use plimsoll_fault::{Fault, Kind, Layer};

/// A profile or label that no module of this kernel would enforce is refused before anything is made. `pointer` is that of
/// the process.
pub(crate) fn check(process: &ProcessPlan, pointer: &str) -> Result<(), Fault> {
    if let Some(profile) = &process.apparmor_profile
        && !apparmor()
    {
        return Err(absent(&format!("{pointer}/apparmorProfile"), profile, "AppArmor"));
    }
    if let Some(label) = &process.selinux_label
        && !selinux()
    {
        return Err(absent(&format!("{pointer}/selinuxLabel"), label, "SELinux"));
    }
    Ok(())
}

pub(crate) fn check_mount_label(label: Option<&String>) -> Result<(), Fault> {
    match label {
        Some(label) if !selinux() => Err(absent("/linux/mountLabel", label, "SELinux")),
        _ => Ok(()),
    }
}

fn absent(pointer: &str, value: &str, module: &str) -> Fault {
    let what = format!("config.json: {pointer}: {value:?} cannot be enforced: {module} is not enabled on this machine");
    Fault::new(Layer::Kernel, "plan", what)
        .kind(Kind::FailedPrecondition)
        .detail(|d| d.pointer = Some(pointer.to_owned()))
        .hint(format!("leave it out, or boot a kernel with {module}"))
}

fn apparmor() -> bool {
    std::fs::read("/sys/module/apparmor/parameters/enabled").is_ok_and(|text| text.starts_with(b"Y"))
}

fn selinux() -> bool {
    const SELINUX_MAGIC: u64 = 0xf97c_ff8c;
    rustix::fs::statfs("/sys/fs/selinux").is_ok_and(|found| found.f_type.cast_unsigned() & 0xffff_ffff == SELINUX_MAGIC)
}
