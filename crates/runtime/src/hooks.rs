//! Hooks: programs of the config run at fixed points, each with the state JSON on standard input. What the specification leaves
//! open (working folder, the environment of a hook that names none) is as under runc.

use crate::fault::At;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::{Hook, State, Status};
use plimsoll_sys::process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use serde::Serialize;
use std::collections::BTreeMap;
use std::ffi::{CString, OsStr};
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Child, Command, ExitStatus, Stdio};

/// How much of what a hook wrote to standard error goes into the report.
const REPORT: i64 = 4096;

/// Where hooks run.
#[derive(Clone, Copy, Debug)]
pub(crate) enum Place<'a> {
    /// As the runtime: in the bundle, with the runtime's environment.
    Runtime { bundle: &'a Path },
    /// In the container's namespaces, before its root is entered: where the process is, with no environment.
    Created,
    /// In the container, as its program, with its environment.
    Container { env: &'a [CString] },
}

/// What a hook reads (config.md, "POSIX-platform Hooks"; runtime.md, "State"). A stopped container has no pid.
#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct Input<'a> {
    oci_version: &'a str,
    id: &'a str,
    status: Status,
    #[serde(skip_serializing_if = "Option::is_none")]
    pid: Option<i32>,
    bundle: &'a str,
    #[serde(skip_serializing_if = "BTreeMap::is_empty")]
    annotations: &'a BTreeMap<String, String>,
}

/// The state as hooks and seccomp agents read it.
pub(crate) fn state_json(state: &State) -> Result<serde_json::Value, Fault> {
    let State { oci_version, id, pid, status, bundle, annotations, .. } = state;
    serde_json::to_value(Input {
        oci_version,
        id,
        status: *status,
        pid: (*pid > 0).then_some(*pid),
        bundle,
        annotations,
    })
    .map_err(|error| Fault::new(Layer::OciRuntime, "hook", "cannot write the state JSON").because(&error))
}

/// Runs the hooks in order; the first that fails ends it. `pointer` is that of the list, for example `/hooks/prestart`.
pub(crate) fn run(hooks: &[Hook], pointer: &str, state: &State, place: Place<'_>) -> Result<(), Fault> {
    if hooks.is_empty() {
        return Ok(());
    }
    // A hook gets its standard input, output and error and nothing that the caller or the runtime left open.
    process::close_on_exec_from(3).at("hook", "close_range", "", || "cannot keep descriptors from the hooks".into())?;
    let input = state_json(state)?.to_string().into_bytes();
    for (index, hook) in hooks.iter().enumerate() {
        one(hook, &format!("{pointer}/{index}"), &input, place)?;
    }
    Ok(())
}

fn one(hook: &Hook, pointer: &str, input: &[u8], place: Place<'_>) -> Result<(), Fault> {
    let what = || format!("config.json: {pointer}: cannot run the hook {}", hook.path);
    // A file, not a pipe: a hook that writes much cannot block on us.
    let errors = rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC).at("hook", "memfd_create", &hook.path, what)?;
    let mut errors = File::from(errors);
    let sink = errors.try_clone().at("hook", "fcntl", &hook.path, what)?;
    let mut child = command(hook, sink, place)
        .spawn()
        .at("hook", "execve", &hook.path, what)
        .map_err(|fault| fault.detail(|d| d.pointer = Some(format!("{pointer}/path"))))?;
    feed(&mut child, input).at("hook", "write", &hook.path, what)?;
    let ended = wait(&mut child, hook, pointer)?;
    if ended.success() {
        return Ok(());
    }
    let fault = Fault::new(Layer::OciRuntime, "hook", format!("config.json: {pointer}: the hook {} failed", hook.path));
    let fault = fault.why(ended.to_string()).detail(|d| d.pointer = Some(pointer.to_owned()));
    Err(match said(&mut errors) {
        Ok(text) if !text.is_empty() => fault.why(text),
        Ok(_) | Err(_) => fault,
    })
}

/// A hook's own environment is all it gets; `args[0]` is its name.
fn command(hook: &Hook, errors: File, place: Place<'_>) -> Command {
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    match place {
        Place::Runtime { .. } if hook.env.is_empty() => {}
        Place::Container { env } if hook.env.is_empty() => {
            let pairs = env.iter().filter_map(|entry| OsStr::from_bytes(entry.as_bytes()).to_str()?.split_once('='));
            command.env_clear().envs(pairs);
        }
        _ => {
            command.env_clear().envs(hook.env.iter().map(|entry| entry.split_once('=').unwrap_or((entry, ""))));
        }
    }
    // A bundle may be gone before its container is deleted.
    if let Place::Runtime { bundle } = place
        && bundle.is_dir()
    {
        command.current_dir(bundle);
    }
    command.stdin(Stdio::piped()).stdout(Stdio::null()).stderr(errors);
    command
}

/// A hook need not read its input.
fn feed(child: &mut Child, input: &[u8]) -> std::io::Result<()> {
    let Some(mut stdin) = child.stdin.take() else { return Ok(()) };
    match stdin.write_all(input) {
        Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => Err(error),
        _ => Ok(()),
    }
}

fn wait(child: &mut Child, hook: &Hook, pointer: &str) -> Result<ExitStatus, Fault> {
    let what = || format!("config.json: {pointer}: cannot wait for the hook {}", hook.path);
    if let Some(seconds) = hook.timeout
        && !ends_within(child, seconds).at("hook", "poll", &hook.path, what)?
    {
        child.kill().and_then(|()| child.wait()).at("hook", "kill", &hook.path, what)?;
        let what = format!("config.json: {pointer}: the hook {} did not end within {seconds} s", hook.path);
        return Err(Fault::new(Layer::OciRuntime, "hook", what)
            .kind(Kind::DeadlineExceeded)
            .detail(|d| d.pointer = Some(pointer.to_owned())));
    }
    child.wait().at("hook", "wait4", &hook.path, what)
}

fn ends_within(child: &Child, seconds: i64) -> Result<bool, Errno> {
    let pid = i32::try_from(child.id()).ok().and_then(rustix::process::Pid::from_raw).ok_or(Errno::SRCH)?;
    let pidfd = process::pidfd(pid)?;
    let mut fds = [PollFd::new(&pidfd, PollFlags::IN)];
    loop {
        match poll(&mut fds, Some(&Timespec { tv_sec: seconds, tv_nsec: 0 })) {
            Ok(ready) => return Ok(ready > 0),
            Err(Errno::INTR) => {}
            Err(error) => return Err(error),
        }
    }
}

/// The end of what the hook wrote.
fn said(errors: &mut File) -> std::io::Result<String> {
    let length = i64::try_from(errors.metadata()?.len()).unwrap_or(i64::MAX);
    errors.seek(SeekFrom::Start(u64::try_from(length - REPORT).unwrap_or(0)))?;
    let mut text = Vec::new();
    errors.take(REPORT.unsigned_abs()).read_to_end(&mut text)?;
    Ok(String::from_utf8_lossy(&text).trim().to_owned())
}
