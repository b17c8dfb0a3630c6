//! `start`: finds the pod's shim or starts one, and prints where it listens.

use super::bootstrap;
use crate::args::{Args, EVENTS_ADDRESS};
use crate::durable::read_bounded;
use crate::server::{bind, reachable, socket_path};
use plimsoll_fault::{Fault, Layer};
use serde::Deserialize;
use std::collections::BTreeMap;
use std::os::unix::process::CommandExt;
use std::path::Path;
use std::process::{Command, Stdio};

/// Longest config.json of which the annotations are read.
const CONFIG_LIMIT: u64 = 4 << 20;

/// Containers with equal values share a shim, in order of precedence.
const GROUPS: [&str; 2] = ["io.containerd.runc.v2.group", "io.kubernetes.cri.sandbox-id"];

#[derive(Deserialize)]
struct Annotated {
    #[serde(default)]
    annotations: Option<BTreeMap<String, String>>,
}

pub(crate) fn run(args: Args) -> Result<(), Fault> {
    let (args, form) = bootstrap::read(args)?;
    let group = group(Path::new("config.json"))?.unwrap_or_else(|| args.id.clone());
    let socket = socket_path(&args.socket_dir, &args.address, &args.namespace, &group);
    if !reachable(&socket) {
        launch(&args, &socket)?;
    }
    let address = format!("unix://{}", socket.display());
    leave_address(&address)?;
    bootstrap::answer(form, &address)
}

/// containerd before 2.0 finds a running shim again, after its own restart, by this file in the bundle.
fn leave_address(address: &str) -> Result<(), Fault> {
    std::fs::write(".address", address)
        .and_then(|()| std::fs::rename(".address", "address"))
        .map_err(|e| fault("cannot leave the address in the bundle").because(&e))
}

/// The group that the bundle's annotations name. A pod's shim may be started where no config is yet.
fn group(config: &Path) -> Result<Option<String>, Fault> {
    let text = match read_bounded(config, CONFIG_LIMIT) {
        Ok(text) => text,
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(fault("cannot read config.json").because(&error)),
    };
    let config: Annotated =
        serde_json::from_slice(&text).map_err(|e| Fault::invalid("start", "config.json cannot be read").because(&e))?;
    let mut annotations = config.annotations.unwrap_or_default();
    Ok(GROUPS.iter().find_map(|name| annotations.remove(*name)).filter(|group| !group.is_empty()))
}

/// Starts the server with the socket that already listens as its standard input: who connects before it is up, waits.
fn launch(args: &Args, socket: &Path) -> Result<(), Fault> {
    let listener = bind(socket)?;
    let mut command = Command::new("/proc/self/exe");
    command.arg0("containerd-shim-plimsoll-v1");
    command.arg("-namespace").arg(&args.namespace).arg("-id").arg(&args.id).arg("-address").arg(&args.address);
    command.arg("-socket").arg(socket).arg("serve");
    if let Some(events) = &args.events {
        command.env(EVENTS_ADDRESS, events);
    }
    command.stdin(Stdio::from(listener)).stdout(Stdio::null()).stderr(Stdio::null());
    match command.spawn() {
        Ok(_) => Ok(()),
        Err(error) => {
            let first = fault("cannot start the shim's server").because(&error);
            Err(match std::fs::remove_file(socket) {
                Ok(()) => first,
                Err(second) => first.why(format!("cannot remove {}: {second}", socket.display())),
            })
        }
    }
}

pub(super) fn fault(what: &str) -> Fault {
    Fault::new(Layer::Shim, "start", what)
}
