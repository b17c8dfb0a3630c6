//! Create and start of a task.

use crate::shim::{self, CreateTask, Shim, Stdio, TaskOptions};
use plimsoll_fault::{Fault, Kind};
use plimsoll_spec::mount::MountDescription;
use std::path::Path;

/// A task to be; its bundle with the finished spec is on disk.
pub(crate) struct NewTask<'a> {
    pub(crate) id: &'a str,
    pub(crate) bundle: &'a Path,
    pub(crate) rootfs: &'a [MountDescription],
    pub(crate) stdio: &'a Stdio,
    pub(crate) options: &'a TaskOptions,
}

/// A start that failed.
pub(crate) struct NotStarted {
    pub(crate) fault: Fault,
    /// The shim has no task of it, by its own word. False: it may have one, now or later, and that may run.
    pub(crate) undone: bool,
}

impl From<Fault> for NotStarted {
    /// Of a failure before the shim was asked.
    fn from(fault: Fault) -> Self {
        Self { fault, undone: true }
    }
}

/// Has the shim create and start it. Returns its pid.
pub(crate) async fn start(shim: &Shim, new: NewTask<'_>) -> Result<u32, NotStarted> {
    let request =
        CreateTask { id: new.id, bundle: new.bundle, rootfs: new.rootfs, stdio: new.stdio, options: new.options };
    let started = async {
        let pid = shim.create_task(request).await?;
        shim.start(new.id, "").await?;
        Ok(pid)
    };
    match started.await {
        Ok(pid) => Ok(pid),
        // A question after what did not answer tells nothing.
        Err(fault) if shim::silent(&fault) => Err(NotStarted { fault, undone: false }),
        Err(fault) => match shim.delete(new.id, "").await {
            Err(second) if second.class() != Kind::NotFound => {
                let fault = fault.why(format!("and undoing the task failed: {second}"));
                Err(NotStarted { fault, undone: false })
            }
            _ => Err(NotStarted { fault, undone: true }),
        },
    }
}
