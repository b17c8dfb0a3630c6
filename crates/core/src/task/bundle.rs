//! The bundle folder of a task: made before it runs, removed after it is deleted.

use plimsoll_fault::{Fault, Layer, Result};
use std::fs::File;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

/// Makes the folder with `rootfs/` and the given files. The folder must not exist.
pub(crate) fn write_bundle(bundle: &Path, files: &[(&str, &[u8])]) -> Result<()> {
    let fault = |e: &std::io::Error| {
        let fault = Fault::new(Layer::Store, "bundle", format!("cannot write the bundle {}", bundle.display()));
        fault.because(e).syscall("write", &bundle.to_string_lossy(), e.raw_os_error().unwrap_or_default())
    };
    let mut private = std::fs::DirBuilder::new();
    private.mode(0o700);
    if let Some(parent) = bundle.parent() {
        private.recursive(true).create(parent).map_err(|e| fault(&e))?;
    }
    private.recursive(false).create(bundle).map_err(|e| fault(&e))?;
    private.mode(0o755).create(bundle.join("rootfs")).map_err(|e| fault(&e))?;
    for (name, content) in files {
        let mut options = std::fs::OpenOptions::new();
        let mut file =
            options.write(true).create_new(true).mode(0o600).open(bundle.join(name)).map_err(|e| fault(&e))?;
        std::io::Write::write_all(&mut file, content).map_err(|e| fault(&e))?;
    }
    Ok(())
}

/// Where a PID namespace that the task joins is pinned while it starts.
pub(crate) fn pid_pin(bundle: &Path) -> PathBuf {
    bundle.join("pid-namespace")
}

/// Pins `namespace`, an open `/proc/<pid>/ns/pid`.
pub(crate) fn pin_pids(bundle: &Path, namespace: &File) -> Result<()> {
    // Of a start that a daemon's death cut off.
    unpin_pids(bundle)?;
    let pin = pid_pin(bundle);
    plimsoll_sys::hostmount::pin_namespace(namespace, &pin).map_err(|e| {
        let what = format!("cannot pin a PID namespace at {}", pin.display());
        Fault::new(Layer::Kernel, "start", what).because(&e).syscall(
            "mount",
            &pin.to_string_lossy(),
            e.raw_os_error().unwrap_or_default(),
        )
    })
}

/// Takes the pin away. One that is not there is not an error.
pub(crate) fn unpin_pids(bundle: &Path) -> Result<()> {
    let pin = pid_pin(bundle);
    let fault = |e: &std::io::Error| {
        Fault::new(Layer::Store, "bundle", format!("cannot remove the pin {}", pin.display())).because(e)
    };
    plimsoll_sys::hostmount::detach_all(&pin).map_err(|e| fault(&e))?;
    match std::fs::remove_file(&pin) {
        Err(e) if e.kind() != std::io::ErrorKind::NotFound => Err(fault(&e)),
        _ => Ok(()),
    }
}

/// Unmounts what is left on `rootfs` and removes the folder. One that is not there is not an error.
pub(crate) fn remove_bundle(bundle: &Path) -> Result<()> {
    let fault = |e: &std::io::Error| {
        Fault::new(Layer::Store, "bundle", format!("cannot remove the bundle {}", bundle.display())).because(e)
    };
    plimsoll_sys::hostmount::detach_all(&bundle.join("rootfs")).map_err(|e| fault(&e))?;
    unpin_pids(bundle)?;
    // A mount that is still there would be emptied by remove_dir_all: rootfs goes first, and only when empty.
    for step in [std::fs::remove_dir(bundle.join("rootfs")), std::fs::remove_dir_all(bundle)] {
        match step {
            Err(e) if e.kind() != std::io::ErrorKind::NotFound => return Err(fault(&e)),
            _ => {}
        }
    }
    Ok(())
}
