//! The program: found before anybody is told "ready", executed at the end.

use super::identity;
use crate::plan::ProcessPlan;
use crate::seccomp::Filter;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_sys::process;
use rustix::fs::{Access, AtFlags, CWD, FileType};
use rustix::io::Errno;
use std::convert::Infallible;
use std::ffi::CString;

/// A file to execute, with arguments and environment.
#[derive(Debug)]
pub(super) struct Program {
    path: CString,
    args: Vec<CString>,
    env: Vec<CString>,
}

impl Program {
    /// Resolves `args[0]` as a shell would, as the user that will execute it: by `PATH` of the environment given, unless it
    /// has a slash.
    pub(super) fn find(process: &ProcessPlan, env: Vec<CString>) -> Result<Self, Fault> {
        let Some(name) = process.args.first().cloned() else {
            return Err(Fault::invalid("exec", "no program to run"));
        };
        let path = if name.as_bytes().contains(&b'/') {
            executable(&name).map_err(|error| refused(&name, error, true))?;
            name
        } else {
            search(&name, &env)?
        };
        Ok(Self { path, args: process.args.clone(), env })
    }

    /// Loads the filter that had to wait (with no_new_privs it needs no right, and as little as possible runs under it), then
    /// executes.
    pub(super) fn execute(&self, filter: Option<&Filter>) -> Result<Infallible, Fault> {
        let _listener = identity::load_filter(filter)?;
        let error = process::exec(&self.path, &self.args, &self.env);
        Err(refused(&self.path, error, true))
    }
}

fn search(name: &CString, env: &[CString]) -> Result<CString, Fault> {
    // Without one, nothing is searched: least of all the working directory, which an empty entry means.
    let path = env.iter().find_map(|entry| entry.as_bytes().strip_prefix(b"PATH=")).filter(|path| !path.is_empty());
    let mut best = Errno::NOENT;
    for folder in path.into_iter().flat_map(|path| path.split(|b| *b == b':')) {
        let folder = if folder.is_empty() { b"." } else { folder };
        let candidate = [folder, b"/", name.as_bytes()].concat();
        let Ok(candidate) = CString::new(candidate) else { continue };
        match executable(&candidate) {
            Ok(()) => return Ok(candidate),
            Err(Errno::ACCESS) => best = Errno::ACCESS,
            Err(_) => {}
        }
    }
    Err(refused(name, best, false))
}

fn executable(path: &CString) -> Result<(), Errno> {
    let stat = rustix::fs::statat(CWD, path.as_c_str(), AtFlags::empty())?;
    if FileType::from_raw_mode(stat.st_mode) == FileType::Directory {
        return Err(Errno::ISDIR);
    }
    let may_execute = |flags| rustix::fs::accessat(CWD, path.as_c_str(), Access::EXEC_OK, flags);
    match may_execute(AtFlags::EACCESS) {
        // A profile older than faccessat2 (Linux 5.8). By now the real ids are the effective ones.
        Err(Errno::NOSYS | Errno::PERM) => may_execute(AtFlags::empty()),
        other => other,
    }
}

/// The wording that engines look for: `executable file not found in $PATH`, `no such file or directory`, `permission denied`,
/// `exec format error`, `is a directory` (docs/contracts/oci-runtime.md).
fn refused(path: &CString, error: Errno, has_slash: bool) -> Fault {
    let name = path.to_string_lossy();
    let (kind, text, hint) = match error {
        Errno::NOENT if !has_slash => (Kind::NotFound, "executable file not found in $PATH", "not in the image"),
        Errno::NOENT => (
            Kind::NotFound,
            "no such file or directory",
            "not found in rootfs; for a script or a dynamic program, its interpreter may be missing",
        ),
        Errno::NOTDIR => (Kind::NotFound, "not a directory", "a part of the path is a file"),
        Errno::ACCESS => (Kind::PermissionDenied, "permission denied", "not executable for this user, or noexec mount"),
        Errno::NOEXEC => {
            (Kind::InvalidArgument, "exec format error", "a program of another architecture, or a script without #!")
        }
        Errno::ISDIR => (Kind::PermissionDenied, "is a directory", "a program is needed"),
        _ => (Kind::Internal, "cannot be executed", "see errno"),
    };
    Fault::new(Layer::OciRuntime, "exec", format!("exec: {name:?}: {text}"))
        .syscall("execve", &name, error.raw_os_error())
        .kind(kind)
        .hint(hint)
}
