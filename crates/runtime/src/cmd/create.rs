//! `plimrun create [--bundle B] [--console-socket S] [--pid-file F] [--preserve-fds N] [--no-pivot] [--no-new-keyring] ID`

use super::ready;
use crate::args::{Flag, Global, Parsed, parse, usage};
use plimsoll_fault::{Fault, Kind, Layer};
use plimsoll_runtime::{Bundle, CreateRequest, Stdio};
use std::ffi::OsString;
use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::path::Path;
use std::process::ExitCode;

pub(super) const FLAGS: [Flag; 10] = [
    Flag::Short("bundle", "b"),
    Flag::Value("console-socket"),
    Flag::Value("pidfd-socket"),
    Flag::Value("pid-file"),
    Flag::Switch("no-pivot"),
    Flag::Switch("no-new-keyring"),
    Flag::Value("preserve-fds"),
    Flag::ShortSwitch("detach", "d"),
    Flag::Switch("keep"),
    Flag::Switch("no-subreaper"),
];

pub(super) fn run(global: &Global, words: Vec<OsString>) -> Result<ExitCode, Fault> {
    let parsed = parse(&FLAGS, words, usize::MAX)?;
    let token = crate::sealed()?;
    let mut request = request(global, &parsed)?;
    if let Some(socket) = parsed.value("console-socket") {
        request.stdio = Stdio::Console { socket: connect("console", socket)?, size: None };
    }
    plimsoll_runtime::create(&token, &global.root()?, bundle(&parsed, request.id)?, request)?;
    Ok(ExitCode::SUCCESS)
}

/// What `create` and `run` share.
pub(super) fn request<'a>(global: &Global, parsed: &'a Parsed) -> Result<CreateRequest<'a>, Fault> {
    let id = parsed.only_id()?;
    Ok(CreateRequest {
        pid_file: parsed.value("pid-file").map(Path::new),
        preserve_fds: preserved(parsed)?,
        listen_fds: listening(),
        notify: ready::is_wanted(),
        pidfd_socket: parsed.value("pidfd-socket").map(|path| connect("pidfd", path)).transpose()?,
        no_pivot: parsed.has("no-pivot"),
        no_new_keyring: parsed.has("no-new-keyring"),
        systemd_cgroup: global.systemd_cgroup,
        ..CreateRequest::new(id)
    })
}

pub(super) fn bundle(parsed: &Parsed, id: &str) -> Result<Bundle, Fault> {
    let folder = parsed.value("bundle").unwrap_or(".");
    Bundle::load(Path::new(folder)).map_err(|fault| fault.in_container(id))
}

/// How many sockets were given to this process. Those of another are not ours, however the variables got here
/// (sd_listen_fds(3)).
fn listening() -> u32 {
    let number = |name: &str| std::env::var(name).ok().and_then(|n| n.parse::<u32>().ok());
    let ours = number("LISTEN_PID") == Some(std::process::id());
    number("LISTEN_FDS").filter(|_| ours).unwrap_or(0)
}

/// How many descriptors from 3 up are the container's: those of socket activation, then those of the flag. Called before
/// anything is opened: a number that is free would be one of the runtime's own later.
pub(super) fn preserved(parsed: &Parsed) -> Result<u32, Fault> {
    let all = parsed.number("preserve-fds", 0)?.saturating_add(listening());
    let open = |number: &u32| Path::new("/proc/self/fd").join(number.to_string()).symlink_metadata().is_ok();
    match (3..3_u32.saturating_add(all)).find(|number| !open(number)) {
        Some(number) => Err(usage(format!("--preserve-fds: descriptor {number} of {all} from 3 up is not open"))),
        None => Ok(all),
    }
}

/// `of` names the flag whose socket it is.
pub(super) fn connect(of: &'static str, path: &str) -> Result<OwnedFd, Fault> {
    UnixStream::connect(path).map(OwnedFd::from).map_err(|error| {
        let fault = Fault::new(Layer::Caller, of, format!("--{of}-socket: cannot connect to {path}")).because(&error);
        fault.syscall("connect", path, error.raw_os_error().unwrap_or(0)).kind(Kind::InvalidArgument)
    })
}
