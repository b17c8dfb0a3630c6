//! The AppArmor profile and the SELinux label that the program gets when it is executed. Written through the host's procfs,
//! while it can still be seen, to files that only this thread may write.

use crate::fault::Os;
use crate::plan::ProcessPlan;
use plimsoll_fault::{Fault, Layer};
use plimsoll_sys::procfs::Procfs;
use rustix::io::Errno;

/// The next execve changes to them. A hook that is run in between is executed under them too, as with runc.
pub(super) fn on_exec(proc: &Procfs, process: &ProcessPlan) -> Result<(), Fault> {
    if let Some(profile) = &process.apparmor_profile {
        let value = format!("exec {profile}");
        // The folder of its own came with module stacking (Linux 5.8).
        let written = match proc.write("self/attr/apparmor/exec", value.as_bytes()) {
            Err(Errno::NOENT) => proc.write("self/attr/exec", value.as_bytes()),
            other => other,
        };
        written.map_err(|error| {
            let fault = refused("/process/apparmorProfile", profile, "attr/apparmor/exec", error);
            if error == Errno::NOENT { fault.hint("no such profile is loaded") } else { fault }
        })?;
    }
    if let Some(label) = &process.selinux_label {
        proc.write("self/attr/exec", label.as_bytes()).map_err(|error| {
            let fault = refused("/process/selinuxLabel", label, "attr/exec", error);
            if error == Errno::INVAL { fault.hint("the policy knows no such context") } else { fault }
        })?;
    }
    Ok(())
}

/// Keys made from now on, the session keyring first, carry the process label; none takes it back.
pub(super) fn on_keys(proc: &Procfs, label: Option<&str>) -> Result<(), Fault> {
    proc.write("self/attr/keycreate", label.unwrap_or_default().as_bytes())
        .map_err(|error| refused("/process/selinuxLabel", label.unwrap_or_default(), "attr/keycreate", error))
}

fn refused(pointer: &str, value: &str, file: &str, error: Errno) -> Fault {
    Fault::new(Layer::Kernel, "identity", format!("config.json: {pointer}: cannot take {value:?}"))
        .os("write", format!("/proc/self/{file}"), &error.into())
        .detail(|d| d.pointer = Some(pointer.to_owned()))
}
