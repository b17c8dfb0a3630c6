//! `pause` and `resume`: the freezer of the container's cgroup.

use crate::Root;
use crate::fault::At;
use crate::record::Record;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::Status;
use plimsoll_sys::cgroup::{read_file, write_file};
use std::path::Path;
use std::time::{Duration, Instant};

/// How long the kernel may take to stop every process.
const FREEZING: Duration = Duration::from_secs(10);

/// Stops every process of a running container. Returns when all have stopped; when they do not, the container is thawed
/// again.
pub fn pause(root: &Root, id: &str) -> Result<(), Fault> {
    let (record, folder) = Record::load(root, id)?;
    expect(&record, &folder, Status::Running).map_err(|fault| fault.in_container(id))?;
    freeze(&record).map_err(|fault| fault.in_container(id))
}

/// Lets them go on.
pub fn resume(root: &Root, id: &str) -> Result<(), Fault> {
    let (record, folder) = Record::load(root, id)?;
    expect(&record, &folder, Status::Paused).map_err(|fault| fault.in_container(id))?;
    thaw(&record).map_err(|fault| fault.in_container(id))
}

fn expect(record: &Record, folder: &Path, wanted: Status) -> Result<(), Fault> {
    let status = record.status(folder);
    if status == wanted {
        return Ok(());
    }
    let what = format!("the container is {status}, not {wanted}");
    Err(Fault::new(Layer::OciRuntime, "freeze", what).kind(Kind::FailedPrecondition))
}

fn freeze(record: &Record) -> Result<(), Fault> {
    let Some((v2, path)) = freezer(record) else {
        let fault = Fault::new(Layer::Kernel, "freeze", "this host has no freezer cgroup");
        return Err(fault.kind(Kind::FailedPrecondition));
    };
    let what = || "cannot freeze the container".to_owned();
    let (file, value) = if v2 { ("cgroup.freeze", "1") } else { ("freezer.state", "FROZEN") };
    write_file(path, file, value).at("freeze", "write", path.join(file), what)?;
    let deadline = Instant::now() + FREEZING;
    while !is_frozen(v2, path) {
        if Instant::now() > deadline {
            thaw(record)?;
            let fault = Fault::new(Layer::Kernel, "freeze", "the container's processes do not stop");
            return Err(fault.kind(Kind::DeadlineExceeded));
        }
        std::thread::sleep(Duration::from_millis(1));
    }
    Ok(())
}

pub(crate) fn thaw(record: &Record) -> Result<(), Fault> {
    let Some((v2, path)) = freezer(record) else { return Ok(()) };
    let (file, value) = if v2 { ("cgroup.freeze", "0") } else { ("freezer.state", "THAWED") };
    write_file(path, file, value).at("freeze", "write", path.join(file), || "cannot thaw the container".into())
}

/// Whether it is v2, and the folder.
fn freezer(record: &Record) -> Option<(bool, &Path)> {
    let found = record.cgroups.iter().find(|(controllers, _)| matches!(controllers.as_str(), "" | "freezer"))?;
    Some((found.0.is_empty(), &found.1))
}

fn is_frozen(v2: bool, path: &Path) -> bool {
    if v2 {
        read_file(path, "cgroup.events").is_ok_and(|text| text.lines().any(|line| line == "frozen 1"))
    } else {
        read_file(path, "freezer.state").is_ok_and(|text| text == "FROZEN")
    }
}
