//! `delete`: after a shim has died without being asked to. Removes the container with the working directory (or `-bundle`)
//! as its bundle, and in a pod's folder the pod's PID 1, and prints how it ended as a `DeleteResponse`.

use crate::args::Args;
use crate::durable::{self, EXIT_FILE, ExitFile, SANDBOX_FILE, SandboxFile, TASK_FILE};
use crate::oci::Runtime;
use crate::sandbox;
use crate::task::{rootfs, timestamp};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_proto::shim::task::DeleteResponse;
use prost::Message;
use std::io::Write;
use std::path::Path;
use std::time::SystemTime;

/// What containerd's callers expect where the code is not known: the container was killed.
const KILLED: u32 = 128 + 9;

pub(crate) fn run(args: &Args) -> Result<(), Fault> {
    let bundle = match &args.bundle {
        Some(bundle) => bundle.clone(),
        None => std::env::current_dir().map_err(|e| fault("cannot tell the bundle").because(&e))?,
    };
    let kept: Option<Runtime> = read(&bundle.join(TASK_FILE))?;
    let exit: Option<ExitFile> = read(&bundle.join(EXIT_FILE))?;
    if let Some(init) = read::<SandboxFile>(&bundle.join(SANDBOX_FILE))? {
        sandbox::end_init(&init)?;
    }
    // Without either nothing was made: the file is written first.
    let linked = || args.runtime_root.clone().map(Runtime::linked);
    let runtime = kept.or_else(linked).map(|runtime| runtime.of(&bundle));
    let pid = runtime.map_or(Ok(0), |runtime| remove(&runtime, &args.id))?;
    rootfs::unmount(&bundle.join("rootfs"))?;
    durable::remove(&bundle.join(TASK_FILE)).map_err(|e| fault("cannot remove the task's record").because(&e))?;
    let answer = DeleteResponse {
        pid: exit.as_ref().map_or(pid, |exit| exit.pid),
        exit_status: exit.as_ref().map_or(KILLED, |exit| exit.exit_code),
        exited_at: Some(timestamp(exit.as_ref().map_or_else(SystemTime::now, ExitFile::at))),
    };
    let mut out = std::io::stdout();
    out.write_all(&answer.encode_to_vec()).map_err(|e| fault("cannot write the answer").because(&e))
}

/// A container that the runtime does not know is deleted already. Returns the pid that its init had, if that is known.
fn remove(runtime: &Runtime, id: &str) -> Result<u32, Fault> {
    let pid = runtime.pid(id).ok().and_then(|pid| u32::try_from(pid).ok());
    match runtime.delete(id) {
        Err(fault) if fault.class() != Kind::NotFound => Err(fault),
        _ => Ok(pid.unwrap_or(0)),
    }
}

fn read<T: for<'de> serde::Deserialize<'de>>(path: &Path) -> Result<Option<T>, Fault> {
    durable::read(path).map_err(|e| fault(&format!("cannot read {}", path.display())).because(&e))
}

fn fault(what: &str) -> Fault {
    Fault::new(Layer::Shim, "delete", what)
}
