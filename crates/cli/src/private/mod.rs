//! The private daemon: with nothing to talk to, root gets a plimsolld of its own, and is told so.

mod network;

use crate::endpoint::{DEFAULT, VARIABLE, listens};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use std::ffi::OsStr;
use std::fs::{self, File, OpenOptions};
use std::os::unix::fs::{DirBuilderExt, MetadataExt, OpenOptionsExt};
use std::os::unix::process::CommandExt;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

/// Moves the private daemon's folders, for tests and for people without a writable /var: ROOT, STATE and the socket
/// are made below it.
const FOLDER_VARIABLE: &str = "PLIM_PRIVATE_DIR";
const START_LIMIT: Duration = Duration::from_secs(15);
/// Enough for the last lines of a log, whatever its size.
const LOG_TAIL: usize = 4096;

/// Folders of the private daemon.
pub(crate) struct Private {
    pub(crate) root: PathBuf,
    state: PathBuf,
}

impl Private {
    pub(crate) fn locate() -> Self {
        match std::env::var_os(FOLDER_VARIABLE).filter(|value| !value.is_empty()) {
            Some(folder) => Self { root: Path::new(&folder).join("root"), state: Path::new(&folder).join("state") },
            None => Self { root: "/var/lib/plim".into(), state: "/run/plim".into() },
        }
    }

    pub(crate) fn socket(&self) -> PathBuf {
        self.state.join("plimsolld.sock")
    }

    fn log(&self) -> PathBuf {
        self.root.join("plimsolld.log")
    }
}

/// The node's daemon, else a private one that runs already, else a new one.
pub(crate) async fn search_or_start() -> Result<PathBuf> {
    let private = Private::locate();
    for socket in [PathBuf::from(DEFAULT), private.socket()] {
        if listens(&socket).await {
            return Ok(socket);
        }
    }
    start(&private).await?;
    Ok(private.socket())
}

async fn start(private: &Private) -> Result<()> {
    let program = daemon_program()?;
    make_folder(&private.root)?;
    make_folder(&private.state)?;
    let mut child = spawn(&program, private)?;
    eprintln!(
        "plim: no daemon on {DEFAULT}: started a private plimsolld (pid {}, root {}, socket {}); stop it with `kill {}`",
        child.id(),
        private.root.display(),
        private.socket().display(),
        child.id()
    );
    wait_until_it_listens(&mut child, private).await
}

/// Root only: uid 0 owns `/proc/self` of a root process (no libc call needed).
fn is_root() -> bool {
    fs::metadata("/proc/self").is_ok_and(|meta| meta.uid() == 0)
}

fn daemon_program() -> Result<PathBuf> {
    let nobody = |what: &str| {
        Fault::new(Layer::Daemon, "connect", format!("no daemon on {DEFAULT}, and {what}"))
            .kind(Kind::Unavailable)
            .hint(format!("start plimsolld, or name a runtime's socket with --endpoint or {VARIABLE}"))
    };
    if !is_root() {
        return Err(nobody("only root can start a private one"));
    }
    let beside = std::env::current_exe().ok().and_then(|exe| exe.parent().map(|folder| folder.join("plimsolld")));
    beside.filter(|path| path.is_file()).ok_or_else(|| nobody("there is no plimsolld beside plim to start one"))
}

fn make_folder(path: &Path) -> Result<()> {
    fs::DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| cannot("make", path, &error))
}

fn cannot(act: &str, path: &Path, error: &std::io::Error) -> Fault {
    Fault::new(Layer::Daemon, "start private daemon", format!("cannot {act} {}", path.display())).because(error)
}

fn spawn(program: &Path, private: &Private) -> Result<Child> {
    let path = private.log();
    let log = OpenOptions::new().create(true).append(true).mode(0o600).open(&path);
    let log = log.map_err(|error| cannot("open", &path, &error))?;
    let config = network::configuration(&private.root)?;
    let copy = log.try_clone().map_err(|error| cannot("open", &path, &error))?;
    Command::new(program)
        .args(config.iter().flat_map(|file| [OsStr::new("--config"), file.as_os_str()]))
        .arg("--root")
        .arg(&private.root)
        .arg("--state")
        .arg(&private.state)
        .arg("--socket")
        .arg(private.socket())
        .current_dir("/")
        .stdin(Stdio::null())
        .stdout(Stdio::from(log))
        .stderr(Stdio::from(copy))
        // Its own group: a Ctrl-C meant for plim must not reach it.
        .process_group(0)
        .spawn()
        .map_err(|error| cannot("start", program, &error))
}

async fn wait_until_it_listens(child: &mut Child, private: &Private) -> Result<()> {
    let failed = |what: String| {
        Fault::new(Layer::Daemon, "start private daemon", what)
            .why(log_tail(&private.log()))
            .hint(format!("its log: {}", private.log().display()))
    };
    let begun = Instant::now();
    while begun.elapsed() < START_LIMIT {
        if listens(&private.socket()).await {
            return Ok(());
        }
        let ended = child.try_wait().map_err(|error| failed(format!("cannot watch plimsolld: {error}")))?;
        if let Some(status) = ended {
            return Err(failed(format!("the private plimsolld ended at once ({status})")));
        }
        tokio::time::sleep(Duration::from_millis(20)).await;
    }
    Err(failed(format!("the private plimsolld did not listen within {} s", START_LIMIT.as_secs())))
}

/// The last three lines of the daemon's log, as one.
fn log_tail(path: &Path) -> String {
    use std::io::{Read, Seek, SeekFrom};
    let mut text = Vec::new();
    let read = File::open(path).and_then(|mut file| {
        let size = file.metadata()?.len();
        file.seek(SeekFrom::Start(size.saturating_sub(LOG_TAIL as u64)))?;
        file.take(LOG_TAIL as u64).read_to_end(&mut text)
    });
    if let Err(error) = read {
        return format!("its log cannot be read: {error}");
    }
    let text = String::from_utf8_lossy(&text);
    let mut lines: Vec<&str> = text.lines().rev().filter(|line| !line.trim().is_empty()).take(3).collect();
    lines.reverse();
    lines.join(" | ")
}
