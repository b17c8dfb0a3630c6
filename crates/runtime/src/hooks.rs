//! Hooks: programs of the config run at fixed points, each with the state JSON on standard input.

use crate::fault::At;
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_spec::runtime::{Hook, State};
use plimsoll_sys::process;
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::fs::MemfdFlags;
use rustix::io::Errno;
use std::fs::File;
use std::io::{Read, Seek, SeekFrom, Write};
use std::os::unix::process::CommandExt;
use std::process::{Child, Command, ExitStatus, Stdio};

/// How much of what a hook wrote to standard error goes into the report.
const REPORT: i64 = 4096;

/// Runs the hooks in order; the first that fails ends it. `pointer` is that of the list, for example `/hooks/prestart`.
pub(crate) fn run(hooks: &[Hook], pointer: &str, state: &State) -> Result<(), Fault> {
    if hooks.is_empty() {
        return Ok(());
    }
    // A hook gets its standard input, output and error and nothing that the caller or the runtime left open.
    process::close_on_exec_from(3).at("hook", "close_range", "", || "cannot keep descriptors from the hooks".into())?;
    let input = serde_json::to_vec(state)
        .map_err(|error| Fault::new(Layer::OciRuntime, "hook", "cannot write the state JSON").because(&error))?;
    for (index, hook) in hooks.iter().enumerate() {
        one(hook, &format!("{pointer}/{index}"), &input)?;
    }
    Ok(())
}

fn one(hook: &Hook, pointer: &str, input: &[u8]) -> Result<(), Fault> {
    let what = || format!("config.json: {pointer}: cannot run the hook {}", hook.path);
    // A file, not a pipe: a hook that writes much cannot block on us.
    let errors = rustix::fs::memfd_create("hook", MemfdFlags::CLOEXEC).at("hook", "memfd_create", &hook.path, what)?;
    let mut errors = File::from(errors);
    let sink = errors.try_clone().at("hook", "fcntl", &hook.path, what)?;
    let mut child = command(hook, sink).spawn().at("hook", "execve", &hook.path, what)?;
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

/// The environment is the hook's own and nothing else; `args[0]` is its name.
fn command(hook: &Hook, errors: File) -> Command {
    let mut command = Command::new(&hook.path);
    if let Some((name, rest)) = hook.args.split_first() {
        command.arg0(name).args(rest);
    }
    let env = hook.env.iter().map(|entry| entry.split_once('=').unwrap_or((entry, "")));
    command.env_clear().envs(env).stdin(Stdio::piped()).stdout(Stdio::null()).stderr(errors);
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
