//! What is kept of a container in `<root>/<id>/`: `state.json` (one record, replaced atomically), `config.json` (as it was
//! at create) and, while the init waits, `start.sock`.

use crate::fault::At;
use crate::kept_filter;
use crate::parent::rdt::Rdt;
use crate::pause::Freezer;
use crate::plan::Domain;
use crate::root::Root;
use crate::systemd::Unit;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::{Hooks, OCI_VERSION, ParseError, Resources, Seccomp, Spec, State, Status};
use plimsoll_sys::cgroup::Group;
use plimsoll_sys::process::Namespaces;
use rustix::fs::{FlockOperation, Mode, OFlags, flock};
use rustix::io::Errno;
use rustix::process::Pid;
use serde::{Deserialize, Serialize};
use std::collections::BTreeMap;
use std::fs::File;
use std::io::Write;
use std::os::fd::OwnedFd;
use std::os::unix::fs::MetadataExt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// `state.json`.
#[derive(Clone, Debug, Serialize, Deserialize)]
pub(crate) struct Record {
    pub id: String,
    pub pid: i32,
    /// Field 22 of `/proc/<pid>/stat`, in clock ticks since boot: tells the init from a later process of the same pid.
    pub start_time: u64,
    pub created: String,
    pub bundle: PathBuf,
    pub rootfs: PathBuf,
    #[serde(default)]
    pub annotations: BTreeMap<String, String>,
    /// Controllers (joined by commas; empty for v2) to the container's folder.
    pub cgroups: Vec<(String, PathBuf)>,
    pub own_pid_namespace: bool,
    /// `CLONE_NEW*` flags of every namespace that is not the caller's: what a second process must join.
    #[serde(default = "classic")]
    pub namespaces: u64,
    #[serde(default)]
    pub hooks: Hooks,
    #[serde(default, skip_serializing_if = "Domain::is_default")]
    pub domain: Domain,
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub rdt: Option<Rdt>,
    /// Cgroup folders that were made for this container, parents included, outermost first.
    #[serde(default)]
    pub made: Vec<PathBuf>,
    /// The systemd scope that the cgroup is.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub unit: Option<Unit>,
    /// `linux.resources` as the last `update` left them; none: as in the config.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub resources: Option<Resources>,
}

/// How long a creator that holds a draft is waited for.
const PUBLISHED: Duration = Duration::from_secs(10);
/// The mode of the kept config of a container that has a cgroup of its own.
const OWNED: Mode = Mode::RUSR;
const STATE_FILE: &str = "state.json";
const DRAFT_FILE: &str = "state.json.new";
pub(crate) const CONFIG_FILE: &str = "config.json";
pub(crate) const START_SOCKET: &str = "start.sock";

impl Record {
    /// Reads the record of `id`. `NotFound` when there is none.
    pub(crate) fn load(root: &Root, id: &str) -> Result<(Self, PathBuf), Fault> {
        let folder = root.folder(id)?;
        let path = folder.join(STATE_FILE);
        let absent_yet = |error: &std::io::Error| error.kind() == std::io::ErrorKind::NotFound;
        let text = match plimsoll_sys::file::read(&path) {
            Err(error) if absent_yet(&error) && await_publisher(&folder) => plimsoll_sys::file::read(&path),
            other => other,
        };
        let text = match text {
            Ok(text) => text,
            Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Err(absent(id)),
            Err(error) => return Err(error).at("load", "open", &path, || format!("cannot read the state of {id}")),
        };
        let record = serde_json::from_slice(&text).map_err(|error| {
            Fault::new(Layer::OciRuntime, "load", format!("{} is damaged", path.display()))
                .kind(Kind::DataLoss)
                .because(&error)
                .in_container(id)
        })?;
        Ok((record, folder))
    }

    /// Writes the record of a container that is being made: not yet seen by other verbs, but enough for `delete --force` to
    /// clean up should this process be killed.
    pub(crate) fn draft(&self, folder: &Path) -> Result<(), Fault> {
        let text = serde_json::to_vec(self).map_err(|error| {
            Fault::new(Layer::OciRuntime, "save", "the state cannot be written as JSON").because(&error)
        })?;
        let path = folder.join(DRAFT_FILE);
        plimsoll_sys::file::write(&path, &text)
            .at("save", "write", &path, || format!("cannot keep the state of {}", self.id))
    }

    /// The cgroup that the config names was made for this container and for nobody else: should the creator be killed, whoever is
    /// in it may be killed. The kept config says so by its mode.
    pub(crate) fn own_cgroup(folder: &Path) -> Result<(), Fault> {
        let path = folder.join(CONFIG_FILE);
        rustix::fs::chmod(&path, OWNED).at("save", "chmod", &path, || "cannot keep whose the cgroup is".into())
    }

    pub(crate) fn owns_cgroup(folder: &Path) -> bool {
        std::fs::metadata(folder.join(CONFIG_FILE)).is_ok_and(|stat| stat.mode() & 0o777 == OWNED.as_raw_mode())
    }

    /// One verb that reads the record and writes it again at a time: until what this returns is dropped.
    pub(crate) fn lock(root: &Root, id: &str) -> Result<OwnedFd, Fault> {
        let folder = root.folder(id)?;
        let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
        let what = || "cannot lock the container's state".to_owned();
        let lock = match rustix::fs::open(&folder, flags, Mode::empty()) {
            Err(Errno::NOENT) => return Err(absent(id)),
            other => other.at("load", "open", &folder, what)?,
        };
        flock(&lock, FlockOperation::LockExclusive).at("load", "flock", &folder, what)?;
        Ok(lock)
    }

    /// For as long as what this returns lives, other verbs wait for the record that the draft becomes: of a program that is
    /// released ahead something may be seen before it is published.
    pub(crate) fn hold(folder: &Path) -> Result<OwnedFd, Fault> {
        let path = folder.join(DRAFT_FILE);
        let what = || "cannot hold the container's state".to_owned();
        let draft = rustix::fs::open(&path, OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty());
        let draft = draft.at("save", "open", &path, what)?;
        flock(&draft, FlockOperation::LockExclusive).at("save", "flock", &path, what)?;
        Ok(draft)
    }

    /// Others wait no longer for what [`Record::hold`] gave.
    pub(crate) fn let_go(held: &OwnedFd) -> Result<(), Fault> {
        flock(held, FlockOperation::Unlock).at("save", "flock", "", || "cannot let go of the container's state".into())
    }

    /// The container is made: its draft becomes its record.
    pub(crate) fn publish(folder: &Path) -> Result<(), Fault> {
        std::fs::rename(folder.join(DRAFT_FILE), folder.join(STATE_FILE))
            .at("save", "rename", folder, || "cannot keep the container's state".into())
    }

    /// Replaces the record of a container that is there.
    pub(crate) fn save(&self, folder: &Path) -> Result<(), Fault> {
        self.draft(folder)?;
        Self::publish(folder)
    }

    /// Removes the state folder: its usual files by name, which needs no list of them, then whatever else is in it.
    pub(crate) fn remove(folder: &Path) -> std::io::Result<()> {
        for file in [CONFIG_FILE, kept_filter::FILE, START_SOCKET, STATE_FILE] {
            match rustix::fs::unlink(folder.join(file)) {
                Ok(()) | Err(Errno::NOENT) => {}
                Err(error) => return Err(error.into()),
            }
        }
        match rustix::fs::rmdir(folder) {
            Err(Errno::NOTEMPTY) => std::fs::remove_dir_all(folder),
            other => other.map_err(Into::into),
        }
    }

    /// What a killed create had got to, if it got as far as a process.
    pub(crate) fn unfinished(folder: &Path) -> Option<Self> {
        serde_json::from_slice(&std::fs::read(folder.join(DRAFT_FILE)).ok()?).ok()
    }

    /// `config.json` as it was at create.
    pub(crate) fn spec(folder: &Path) -> Result<Spec, Fault> {
        Spec::parse(&config(folder)?).map_err(|error| damaged(&error))
    }

    /// The seccomp profile of that config.
    pub(crate) fn seccomp(folder: &Path) -> Result<Option<Seccomp>, Fault> {
        let text = config(folder)?;
        let spec = Spec::parse(&text).map_err(|error| damaged(&error))?;
        let profile = spec.linux.and_then(|linux| linux.seccomp);
        profile.map(|profile| profile.read(&text)).transpose().map_err(|error| damaged(&error))
    }

    pub(crate) fn status(&self, folder: &Path) -> Status {
        if !self.is_alive() {
            return Status::Stopped;
        }
        if folder.join(START_SOCKET).exists() {
            return Status::Created;
        }
        if Freezer::of(self).is_some_and(|freezer| freezer.is_asked()) { Status::Paused } else { Status::Running }
    }

    /// Whether the init runs: same start time, not a zombie.
    pub(crate) fn is_alive(&self) -> bool {
        process_start(self.pid).is_some_and(|(start, zombie)| start == self.start_time && !zombie)
    }

    /// A pidfd of the init, verified after it was opened.
    pub(crate) fn pidfd(&self) -> Option<OwnedFd> {
        let fd = plimsoll_sys::process::pidfd(Pid::from_raw(self.pid)?).ok()?;
        self.is_alive().then_some(fd)
    }

    pub(crate) fn groups(&self) -> impl Iterator<Item = Group> {
        self.cgroups.iter().map(|(_, path)| Group { path: path.clone() })
    }

    /// The state JSON everybody sees.
    pub(crate) fn state(&self, folder: &Path) -> State {
        State { owner: owner(folder), ..self.state_as(self.status(folder)) }
    }

    /// The state JSON with a status that is known by other means: for hooks.
    pub(crate) fn state_as(&self, status: Status) -> State {
        State {
            oci_version: OCI_VERSION.to_owned(),
            id: self.id.clone(),
            pid: if status == Status::Stopped { 0 } else { self.pid },
            status,
            bundle: self.bundle.to_string_lossy().into_owned(),
            rootfs: self.rootfs.to_string_lossy().into_owned(),
            created: self.created.clone(),
            annotations: self.annotations.clone(),
            owner: "root".to_owned(),
        }
    }
}

/// A record as it was published, and by which file.
#[derive(Debug)]
pub(crate) struct Published {
    pub record: Record,
    /// A record is never written in place: another one has another inode, for the first is held open.
    file: OwnedFd,
}

impl Published {
    /// `file` is what [`Record::hold`] gave.
    pub(crate) fn new(record: Record, file: OwnedFd) -> Box<Self> {
        Box::new(Self { record, file })
    }

    pub(crate) fn is_current(&self, folder: &Path) -> bool {
        let (Ok(ours), Ok(there)) = (rustix::fs::fstat(&self.file), rustix::fs::stat(folder.join(STATE_FILE))) else {
            return false;
        };
        (ours.st_dev, ours.st_ino) == (there.st_dev, there.st_ino)
    }
}

/// Waits while somebody holds the draft, but not for ever for one who stands still. Whether it is worth another look: the draft
/// may become the record between two of them.
fn await_publisher(folder: &Path) -> bool {
    let draft = match rustix::fs::open(folder.join(DRAFT_FILE), OFlags::RDONLY | OFlags::CLOEXEC, Mode::empty()) {
        Ok(draft) => draft,
        Err(_) => return folder.exists(),
    };
    let end = Instant::now() + PUBLISHED;
    while flock(&draft, FlockOperation::NonBlockingLockShared) == Err(Errno::WOULDBLOCK) && Instant::now() < end {
        std::thread::sleep(Duration::from_millis(1));
    }
    true
}

fn config(folder: &Path) -> Result<Vec<u8>, Fault> {
    let path = folder.join(CONFIG_FILE);
    std::fs::read(&path).at("load", "open", &path, || "cannot read the container's config".into())
}

fn damaged(error: &ParseError) -> Fault {
    Fault::new(Layer::OciRuntime, "load", "the container's kept config is damaged").kind(Kind::DataLoss).because(error)
}

/// Whose the state folder is: a name of `/etc/passwd`, or `#` and the number.
fn owner(folder: &Path) -> String {
    let uid = std::fs::metadata(folder).map_or(0, |stat| stat.uid());
    if uid == 0 {
        return "root".to_owned();
    }
    let number = uid.to_string();
    let passwd = std::fs::read_to_string("/etc/passwd").unwrap_or_default();
    let named = passwd.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next()?;
        (fields.nth(1)? == number).then(|| name.to_owned())
    });
    named.unwrap_or_else(|| format!("#{number}"))
}

/// Of records written before there was that field: everything but user and time namespaces, and joining one's own is harmless.
fn classic() -> u64 {
    let all = Namespaces::MOUNT.with(Namespaces::NET).with(Namespaces::UTS).with(Namespaces::IPC);
    all.with(Namespaces::CGROUP).with(Namespaces::PID).bits()
}

pub(crate) fn absent(id: &str) -> Fault {
    Fault::new(Layer::OciRuntime, "load", format!("container {id:?} does not exist"))
        .kind(Kind::NotFound)
        .in_container(id)
}

/// Start time, in clock ticks since boot, and whether it is a zombie, from `/proc/<pid>/stat`. The command name may hold anything, so fields are counted
/// from its last closing parenthesis.
pub fn process_start(pid: i32) -> Option<(u64, bool)> {
    let stat = plimsoll_sys::file::read_text(Path::new(&format!("/proc/{pid}/stat"))).ok()?;
    let mut fields = stat.get(stat.rfind(')')? + 2..)?.split(' ');
    let zombie = matches!(fields.next()?, "Z" | "X");
    Some((fields.nth(18)?.parse().ok()?, zombie))
}

/// Replaces a file: a reader sees the old or the new one whole. What is written beside it is made anew, for the folder may be
/// anybody's: a link there is not followed.
pub(crate) fn write_atomic(path: &Path, bytes: &[u8]) -> std::io::Result<()> {
    let mut beside = path.as_os_str().to_owned();
    beside.push(format!(".{}", std::process::id()));
    let beside = PathBuf::from(beside);
    let mut new = match File::create_new(&beside) {
        // Of a process of the same number that was killed.
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => {
            std::fs::remove_file(&beside)?;
            File::create_new(&beside)?
        }
        other => other?,
    };
    let done = new.write_all(bytes).and_then(|()| std::fs::rename(&beside, path));
    done.inspect_err(|_| drop(std::fs::remove_file(&beside)))
}
