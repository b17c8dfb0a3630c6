//! Writing limits into a container's groups: at create and at update.

use crate::fault::{At, Os};
use crate::plan::{Missing, Rule, Setting, device_program};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::bpf;
use plimsoll_sys::cgroup::{read_file, write_file};
use rustix::fs::{Mode, OFlags};
use rustix::io::Errno;
use std::path::{Path, PathBuf};

/// The folders of one container: controllers joined by commas (empty for v2), and the folder.
pub(crate) type Folders = [(String, PathBuf)];

pub(crate) fn is_v2(folders: &Folders) -> bool {
    folders.iter().all(|(controllers, _)| controllers.is_empty())
}

/// Writes every setting in order. What the kernel finds invalid and may be written again is tried once more at the end.
pub(crate) fn write_all(folders: &Folders, settings: &[Setting]) -> Result<(), Fault> {
    let mut again = Vec::new();
    for setting in settings {
        match write(folders, setting)? {
            Ok(()) => {}
            Err(Errno::INVAL | Errno::BUSY) if setting.retry => again.push(setting),
            Err(error) => return Err(failed(folders, setting, error)),
        }
    }
    for setting in again {
        write(folders, setting)?.map_err(|error| failed(folders, setting, error))?;
    }
    Ok(())
}

fn write(folders: &Folders, setting: &Setting) -> Result<Result<(), Errno>, Fault> {
    let Some(folder) = folder_of(folders, &setting.controller) else {
        return match setting.missing {
            Missing::Ignore => Ok(Ok(())),
            Missing::Refuse | Missing::Instead(..) => Err(no_controller(setting)),
        };
    };
    Ok(match write_file(folder, &setting.file, &setting.value) {
        Err(Errno::NOENT) => match &setting.missing {
            Missing::Refuse => Err(Errno::NOENT),
            Missing::Ignore => Ok(()),
            Missing::Instead(file, value) => write_file(folder, file, value),
        },
        other => other,
    })
}

fn folder_of<'a>(folders: &'a Folders, controller: &str) -> Option<&'a Path> {
    let holds = |list: &str| list.is_empty() || list.split(',').any(|c| c == controller);
    folders.iter().find(|(controllers, _)| holds(controllers)).map(|(_, path)| path.as_path())
}

fn no_controller(setting: &Setting) -> Fault {
    let pointer = format!("/linux/resources{}", setting.pointer);
    let what = format!("config.json: {pointer}: this host has no {} controller", setting.controller);
    Fault::new(Layer::Kernel, "cgroup", what).kind(Kind::FailedPrecondition).detail(|d| d.pointer = Some(pointer))
}

fn failed(folders: &Folders, setting: &Setting, error: Errno) -> Fault {
    let folder = folder_of(folders, &setting.controller).unwrap_or(Path::new(""));
    let pointer = format!("/linux/resources{}", setting.pointer);
    let (file, value) = (&setting.file, &setting.value);
    let mut what = format!("config.json: {pointer}: cannot write {value:?} to {file}");
    // A file that is not there is a kernel without that limit.
    let mut layer = if error == Errno::NOENT { Layer::Kernel } else { Layer::OciRuntime };
    // A file that is not there, of a v2 group in which the controller is not on.
    if matches!(error, Errno::NOENT | Errno::ACCESS | Errno::PERM) && is_v2(folders) {
        let on = read_file(folder, "cgroup.controllers").unwrap_or_default();
        let controller = &setting.controller;
        if controller != "cgroup" && !on.split(' ').any(|c| c == controller) {
            what = format!("config.json: {pointer}: {file} can't be set: controller {controller:?} not available");
            layer = Layer::Kernel;
        }
    }
    let fault = Fault::new(layer, "cgroup", what)
        .os("write", folder.join(file), &error.into())
        .detail(|d| d.pointer = Some(pointer));
    match used(folder, file, error) {
        Some(usage) => fault.hint(usage),
        None => fault,
    }
}

/// EBUSY of a v1 memory limit: the group uses more and cannot be made to use less.
fn used(folder: &Path, file: &str, error: Errno) -> Option<String> {
    if error != Errno::BUSY || !file.starts_with("memory.") {
        return None;
    }
    let usage = read_file(folder, "memory.usage_in_bytes").ok()?;
    let peak = read_file(folder, "memory.max_usage_in_bytes").ok()?;
    Some(format!("current usage: {usage}, peak usage: {peak}"))
}

/// What the files of some settings held before they were written.
#[derive(Debug)]
pub(crate) struct Before(Vec<(PathBuf, String, Vec<String>)>);

impl Before {
    /// A file that is not there, or cannot be read, has nothing to be put back.
    pub(crate) fn read(folders: &Folders, settings: &[Setting]) -> Self {
        let one = |setting: &Setting| {
            let folder = folder_of(folders, &setting.controller)?;
            let files = match &setting.missing {
                Missing::Instead(other, _) => vec![setting.file.as_str(), other],
                Missing::Refuse | Missing::Ignore => vec![setting.file.as_str()],
            };
            let found = files.into_iter().find_map(|file| Some((file, read_file(folder, file).ok()?)));
            found.map(|(file, text)| (folder.to_owned(), file.to_owned(), lines(setting, &text)))
        };
        Self(settings.iter().filter_map(one).collect())
    }

    /// Writes it again, the last written first, and what depends on another value once more.
    pub(crate) fn put_back(&self, fault: Fault) -> Fault {
        let mut again = Vec::new();
        for (folder, file, text) in self.0.iter().rev().flat_map(|(f, n, lines)| lines.iter().map(move |l| (f, n, l))) {
            if write_file(folder, file, text).is_err() {
                again.push((folder, file, text));
            }
        }
        let failed = again.into_iter().find_map(|(folder, file, text)| {
            write_file(folder, file, text).err().map(|error| format!("putting {text:?} back to {file} failed: {error}"))
        });
        failed.into_iter().fold(fault, Fault::why)
    }
}

/// The writes that make a file what it was. Of a file with a line a device only the setting's device is of interest: it has no
/// line when it has no limit, and 0 (v1) or `max` takes a limit away.
fn lines(setting: &Setting, text: &str) -> Vec<String> {
    let Some(device) = setting.value.split(' ').next().filter(|device| device.contains(':')) else {
        // An empty list of CPUs is written as an empty line.
        return vec![if text.is_empty() { "\n".to_owned() } else { text.to_owned() }];
    };
    let was = text.lines().find(|line| line.split(' ').next() == Some(device));
    vec![match (was, setting.value.rsplit_once('=')) {
        (Some(line), _) => line.to_owned(),
        (None, Some((key, _))) => format!("{key}=max"),
        (None, None) => format!("{device} 0"),
    }]
}

/// v2 has no file for devices, but a program.
pub(crate) fn limit_devices(folder: &Path, rules: &[Rule]) -> Result<(), Fault> {
    let Some(program) = device_program(rules) else { return Ok(()) };
    let what = || "config.json: /linux/resources/devices: cannot limit device access".to_owned();
    let flags = OFlags::RDONLY | OFlags::DIRECTORY | OFlags::CLOEXEC;
    let folder = rustix::fs::open(folder, flags, Mode::empty()).at("cgroup", "open", folder, what)?;
    let program = bpf::load_device_program(&program).at("cgroup", "bpf", "BPF_PROG_LOAD", what)?;
    bpf::attach_device_program(&program, &folder).at("cgroup", "bpf", "BPF_PROG_ATTACH", what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn files_are_put_back_as_they_were() {
        let folder = std::env::temp_dir().join(format!("plimrun-limits-{}", std::process::id()));
        std::fs::create_dir_all(&folder).expect("a folder");
        let put = |name: &str, text: &str| std::fs::write(folder.join(name), text).expect("a file");
        put("pids.max", "max\n");
        let pids = plimsoll_spec::runtime::Pids { limit: Some(12) };
        let resources = plimsoll_spec::runtime::Resources { pids: Some(pids), ..Default::default() };
        let settings = crate::plan::v2_settings(&resources).expect("settings");
        let folders = [(String::new(), folder.clone())];
        let before = Before::read(&folders, &settings);
        write_all(&folders, &settings).expect("written");
        assert_eq!(read_file(&folder, "pids.max").expect("read")[..2], *"12");
        before.put_back(Fault::new(Layer::Caller, "update", "no"));
        assert_eq!(read_file(&folder, "pids.max").expect("read"), "max");
        std::fs::remove_dir_all(&folder).expect("removed");
    }
}
