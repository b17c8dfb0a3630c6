//! `pause` and `resume`: the freezer of the container's cgroup.

use crate::Root;
use crate::fault::At;
use crate::record::Record;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::Status;
use plimsoll_sys::cgroup::{read_file, write_file};
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

/// How long the kernel may take to stop every process.
const FREEZING: Duration = Duration::from_secs(10);

/// Stops every process of a running container. Returns when all have stopped; when they do not, the container is thawed
/// again.
pub fn pause(root: &Root, id: &str) -> Result<(), Fault> {
    let (record, folder) = Record::load(root, id)?;
    expect(&record, &folder, &[Status::Running, Status::Created]).map_err(|fault| fault.in_container(id))?;
    let Some(freezer) = Freezer::of(&record) else {
        let whose =
            if record.cgroups.is_empty() { "the container has no cgroup" } else { "this host has no freezer cgroup" };
        let fault = Fault::new(Layer::Kernel, "freeze", whose);
        return Err(fault.kind(Kind::FailedPrecondition).in_container(id));
    };
    freezer.freeze().map_err(|fault| fault.in_container(id))
}

/// Lets them go on.
pub fn resume(root: &Root, id: &str) -> Result<(), Fault> {
    let (record, folder) = Record::load(root, id)?;
    expect(&record, &folder, &[Status::Paused]).map_err(|fault| fault.in_container(id))?;
    Freezer::of(&record).map_or(Ok(()), |freezer| freezer.thaw()).map_err(|fault| fault.in_container(id))
}

fn expect(record: &Record, folder: &Path, wanted: &[Status]) -> Result<(), Fault> {
    let status = record.status(folder);
    if wanted.contains(&status) {
        return Ok(());
    }
    let wanted: Vec<String> = wanted.iter().map(ToString::to_string).collect();
    let what = format!("the container is {status}, not {}", wanted.join(" or "));
    Err(Fault::new(Layer::OciRuntime, "freeze", what).kind(Kind::FailedPrecondition))
}

/// The group whose processes are stopped and let go.
#[derive(Debug)]
pub(crate) struct Freezer {
    v2: bool,
    path: PathBuf,
}

impl Freezer {
    /// None where the host has no freezer, or the container no group.
    pub(crate) fn of(record: &Record) -> Option<Self> {
        let found = record.cgroups.iter().find(|(controllers, _)| matches!(controllers.as_str(), "" | "freezer"))?;
        Some(Self { v2: found.0.is_empty(), path: found.1.clone() })
    }

    /// Returns when every process stands still.
    pub(crate) fn freeze(&self) -> Result<(), Fault> {
        let what = || "cannot freeze the container".to_owned();
        let (file, value) = self.words(true);
        let deadline = Instant::now() + FREEZING;
        let mut pause = Duration::from_micros(50);
        write_file(&self.path, file, value).at("freeze", "write", self.path.join(file), what)?;
        while !self.is_frozen() {
            if Instant::now() > deadline {
                self.thaw()?;
                let fault = Fault::new(Layer::Kernel, "freeze", "the container's processes do not stop");
                return Err(fault.kind(Kind::DeadlineExceeded));
            }
            std::thread::sleep(pause);
            pause = (pause * 2).min(Duration::from_millis(2));
            if !self.v2 {
                // A process forked meanwhile keeps v1 at FREEZING until it is told once more.
                write_file(&self.path, file, value).at("freeze", "write", self.path.join(file), what)?;
            }
        }
        Ok(())
    }

    pub(crate) fn thaw(&self) -> Result<(), Fault> {
        let (file, value) = self.words(false);
        let what = || "cannot thaw the container".to_owned();
        write_file(&self.path, file, value).at("freeze", "write", self.path.join(file), what)
    }

    /// Whether somebody asked for it, whether or not every process stands still yet.
    pub(crate) fn is_asked(&self) -> bool {
        if self.v2 {
            read_file(&self.path, "cgroup.freeze").is_ok_and(|text| text == "1")
        } else {
            read_file(&self.path, "freezer.state").is_ok_and(|text| text != "THAWED")
        }
    }

    fn is_frozen(&self) -> bool {
        if self.v2 {
            read_file(&self.path, "cgroup.events").is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
        } else {
            read_file(&self.path, "freezer.state").is_ok_and(|text| text == "FROZEN")
        }
    }

    fn words(&self, freeze: bool) -> (&'static str, &'static str) {
        match (self.v2, freeze) {
            (true, true) => ("cgroup.freeze", "1"),
            (true, false) => ("cgroup.freeze", "0"),
            (false, true) => ("freezer.state", "FROZEN"),
            (false, false) => ("freezer.state", "THAWED"),
        }
    }
}
