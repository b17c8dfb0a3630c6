//! A container whose supervisor waits for it (sd_notify(3)): it gets a socket of its own, at which the runtime listens until its
//! program has said that it is ready. It never sees the supervisor's.

use crate::fault::{At, Os};
use crate::record::Record;
use crate::root::Root;
use plimsoll_fault::{Fault, Layer};
use plimsoll_spec::runtime::{Mount, Spec, Status};
use plimsoll_sys::sd_notify;
use rustix::process::Pid;
use std::fs::Permissions;
use std::os::fd::{AsRawFd, OwnedFd};
use std::os::unix::fs::PermissionsExt;
use std::os::unix::net::UnixDatagram;
use std::path::Path;

/// In the state folder, and where the container sees it: the names that runc has.
const FOLDER: &str = "notify";
const SOCKET: &str = "notify.sock";
const INSIDE: &str = "/run/notify";

/// What a container's program says, from its start on.
#[derive(Debug)]
pub struct Readiness {
    pub socket: UnixDatagram,
    /// The container's init.
    pub pid: Pid,
    pub pidfd: OwnedFd,
}

/// Of a container that was created for a supervisor and not started yet: else `None`.
///
/// # Errors
/// `NotFound`: there is no such container. What kept the socket from being made.
pub fn readiness(root: &Root, id: &str) -> Result<Option<Readiness>, Fault> {
    let (record, folder) = Record::load(root, id)?;
    let folder = folder.join(FOLDER);
    if record.status(&root.folder(id)?) != Status::Created || !folder.is_dir() {
        return Ok(None);
    }
    let Some((pid, pidfd)) = Pid::from_raw(record.pid).zip(record.pidfd()) else { return Ok(None) };
    let listener = || {
        let path = folder.join(SOCKET);
        // A `start` that was killed here has removed it.
        match std::fs::remove_file(&path) {
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => Ok(()),
            done => done.at("notify", "unlink", &path, || "cannot replace the container's socket".into()),
        }?;
        listen(&folder)
    };
    let socket = listener().map_err(|fault| fault.in_container(id))?;
    Ok(Some(Readiness { socket, pid, pidfd }))
}

/// What the container gets: the folder, for a socket that is bound again at `start` is another file.
pub(crate) fn give(spec: &mut Spec, state: &Path) {
    // The source of a mount is relative to the bundle.
    let state = std::path::absolute(state).unwrap_or_else(|_| state.to_owned());
    let options = ["bind", "ro", "nosuid", "nodev", "noexec"].map(str::to_owned).to_vec();
    spec.mounts.push(Mount {
        destination: INSIDE.to_owned(),
        kind: Some("bind".to_owned()),
        source: Some(state.join(FOLDER).to_string_lossy().into_owned()),
        options,
        uid_mappings: Vec::new(),
        gid_mappings: Vec::new(),
    });
    if let Some(process) = &mut spec.process {
        process.env.push(format!("{}={INSIDE}/{SOCKET}", sd_notify::VARIABLE));
    }
}

/// In a new state folder.
pub(crate) fn make(state: &Path) -> Result<UnixDatagram, Fault> {
    let folder = state.join(FOLDER);
    // Anybody in the container may speak; nobody else gets through the state folder.
    std::fs::create_dir(&folder).and_then(|()| permit(&folder, 0o755)).map_err(|error| {
        Fault::new(Layer::OciRuntime, "notify", "cannot make a folder for the container's socket")
            .os("mkdir", &folder, &error)
    })?;
    listen(&folder)
}

/// Bound through `/proc/self/fd`: the path may be longer than a sun_path.
fn listen(folder: &Path) -> Result<UnixDatagram, Fault> {
    let what = || "cannot make the container's notification socket".to_owned();
    let dir = std::fs::File::open(folder).at("notify", "open", folder, what)?;
    let path = Path::new("/proc/self/fd").join(dir.as_raw_fd().to_string()).join(SOCKET);
    let socket = UnixDatagram::bind(&path).at("notify", "bind", folder, what)?;
    permit(&path, 0o777).at("notify", "chmod", folder, what)?;
    Ok(socket)
}

/// Whatever the umask is.
fn permit(path: &Path, mode: u32) -> std::io::Result<()> {
    std::fs::set_permissions(path, Permissions::from_mode(mode))
}
