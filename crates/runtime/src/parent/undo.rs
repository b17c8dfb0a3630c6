//! Undo as data: each step that makes something pushes what takes it away again.

use crate::record::Record;
use crate::systemd::Unit;
use plimsoll_fault::Fault;
use plimsoll_sys::cgroup::Group;
use plimsoll_sys::process;
use rustix::process::Pid;
use std::io;
use std::os::fd::OwnedFd;
use std::path::PathBuf;
use std::time::{Duration, Instant};

/// One thing made.
#[derive(Debug)]
pub(crate) enum Undo {
    StateFolder(PathBuf),
    /// The container's own groups, and every group made for it, outermost first.
    Cgroups {
        own: Vec<PathBuf>,
        made: Vec<PathBuf>,
    },
    /// Empty, of a filesystem of the kernel's.
    Folder(PathBuf),
    Child(Pid, OwnedFd),
    /// The hooks of a container that was made and is no more.
    Poststop(Box<Record>),
    Unit(Unit),
}

/// Undone in reverse order unless [`Rollback::keep`] is called.
#[derive(Debug, Default)]
pub(crate) struct Rollback(Vec<Undo>);

impl Rollback {
    pub(crate) fn push(&mut self, undo: Undo) {
        self.0.push(undo);
    }

    /// To be undone after everything else.
    pub(crate) fn push_last(&mut self, undo: Undo) {
        self.0.insert(0, undo);
    }

    /// Everything succeeded: what was made stays.
    pub(crate) fn keep(mut self) {
        self.0.clear();
    }

    /// Undoes everything, going on after a failed step, and reports every failure on the fault that caused it.
    pub(crate) fn undo(mut self, mut fault: Fault) -> Fault {
        while let Some(step) = self.0.pop() {
            let name = step.name();
            if let Err(error) = run(step) {
                fault = fault.why(format!("undoing {name} failed: {error}"));
            }
        }
        fault
    }
}

impl Undo {
    fn name(&self) -> String {
        match self {
            Self::Poststop(_) => "Poststop".to_owned(),
            other => format!("{other:?}"),
        }
    }
}

fn run(step: Undo) -> io::Result<()> {
    match step {
        Undo::StateFolder(path) => std::fs::remove_dir_all(path),
        Undo::Folder(path) => std::fs::remove_dir(path),
        Undo::Cgroups { own, made } => remove_groups(&own, &made),
        Undo::Unit(unit) => unit.stop().map_err(|fault| io::Error::other(fault.to_string())),
        Undo::Child(pid, pidfd) => {
            match process::signal(&pidfd, libc_kill()) {
                Ok(()) | Err(rustix::io::Errno::SRCH) => {}
                Err(error) => return Err(error.into()),
            }
            process::wait(pid)?;
            Ok(())
        }
        Undo::Poststop(record) => crate::delete::poststop(&record).map_err(io::Error::other),
    }
}

fn libc_kill() -> i32 {
    rustix::process::Signal::KILL.as_raw()
}

/// How long a group may stay busy after its processes were killed: the kernel takes dying tasks out of it asynchronously.
const BUSY: Duration = Duration::from_secs(10);

/// Removes a container's own groups, waiting while dying processes leave them, then the groups above that were made for it
/// and that nobody else uses by now.
pub(crate) fn remove_groups(own: &[PathBuf], made: &[PathBuf]) -> io::Result<()> {
    let deadline = Instant::now() + BUSY;
    let mut pause = Duration::from_micros(200);
    for path in own {
        let group = Group { path: path.clone() };
        loop {
            match group.remove() {
                Ok(()) => break,
                Err(error) if busy(&error) && Instant::now() < deadline => {
                    std::thread::sleep(pause);
                    pause = (pause * 2).min(Duration::from_millis(20));
                }
                Err(error) => return Err(error),
            }
        }
    }
    for path in made.iter().rev().filter(|path| !own.contains(path)) {
        match std::fs::remove_dir(path) {
            Ok(()) => {}
            Err(error) if busy(&error) || error.kind() == io::ErrorKind::NotFound => {}
            Err(error) => return Err(error),
        }
    }
    Ok(())
}

fn busy(error: &io::Error) -> bool {
    error.raw_os_error() == Some(rustix::io::Errno::BUSY.raw_os_error())
}
