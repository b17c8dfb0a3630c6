//! Create and start of a task.

use crate::rollback::Rollback;
use crate::shim::{CreateTask, Shim, Stdio, TaskOptions};
use plimsoll_fault::{Kind, Result};
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

/// Has the shim create and start it. Returns its pid. A failed start leaves no task.
pub(crate) async fn start(shim: &Shim, new: NewTask<'_>) -> Result<u32> {
    let mut rollback = Rollback::default();
    let request =
        CreateTask { id: new.id, bundle: new.bundle, rootfs: new.rootfs, stdio: new.stdio, options: new.options };
    let (line, id) = (shim.clone(), new.id.to_owned());
    rollback.push("the task", async move {
        match line.delete(&id, "").await {
            Err(fault) if fault.class() != Kind::NotFound => Err(fault),
            _ => Ok(()),
        }
    });
    let started = async {
        let pid = shim.create_task(request).await?;
        shim.start(new.id, "").await?;
        Ok(pid)
    };
    match started.await {
        Ok(pid) => Ok(pid),
        Err(fault) => Err(rollback.undo(fault).await),
    }
}
