//! Starting a shim as shim v2 prescribes, and its `delete` after a crash. The only place where the daemon runs a shim binary.

use super::task::Exit;
use super::{Shim, TaskVersion, convert};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_proto::shim::bootstrap::{BootstrapParams, BootstrapResult};
use plimsoll_proto::shim::task::DeleteResponse;
use prost::Message;
use serde::Deserialize;
use std::path::{Path, PathBuf};
use std::process::{Output, Stdio};
use std::time::Duration;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

/// Longest text of a failing shim that is taken into a fault.
const STDERR_LIMIT: usize = 4096;

/// How long `delete` may take: as long as the shim gives its own worker for it, which waits for dying processes and runs the
/// container's last hooks.
const CLEANUP: Duration = Duration::from_secs(60);

/// How a Go program ends that is called wrongly.
const USAGE: i32 = 2;
/// It prints and ends; nothing else.
const INFO: Duration = Duration::from_secs(10);

/// How one kind of shim is started.
#[derive(Clone, Debug)]
pub struct Launcher {
    /// The shim program, absolute or found in PATH.
    pub binary: PathBuf,
    /// Told to our shim as `-socket-dir`; foreign shims do not know that flag: `None`.
    pub socket_dir: Option<PathBuf>,
    /// The daemon's socket, `-address`.
    pub daemon_socket: PathBuf,
    /// Where it publishes events, if anybody takes them.
    pub events: Option<PathBuf>,
    /// It gets what containerd writes to a shim's standard input since 2.3, whose own shim does nothing without it. Those of before
    /// 2.0 take it for something else.
    pub parameters: bool,
    pub debug: bool,
    /// How long `start` may take.
    pub deadline: Duration,
}

/// Whose shim: the pod's sandbox id (or a lone container's), and the folder that becomes the shim's working directory.
#[derive(Clone, Copy, Debug)]
pub struct Launch<'a> {
    pub namespace: &'a str,
    pub id: &'a str,
    pub bundle: &'a Path,
}

/// The JSON form of the answer to `start`.
#[derive(Deserialize)]
struct Bootstrap {
    version: u32,
    address: String,
    protocol: String,
}

impl Launcher {
    /// Runs `start` and connects to the address it prints.
    pub async fn start(&self, launch: Launch<'_>) -> Result<Shim> {
        let mut command = self.command(launch);
        command.arg("start");
        let output = self.run(command, "start", launch, self.deadline).await?;
        let (address, version) = parse_bootstrap(&output.stdout)?;
        Shim::connect_as(&address, version).await
    }

    /// Runs `delete`: removes what a shim that died left of `launch.id`, and returns what it knew of the exit. Our shim is
    /// told with `runtime_root` where the runtime keeps its state, should the bundle not say it; foreign ones do not know
    /// that flag.
    pub async fn cleanup(&self, launch: Launch<'_>, runtime_root: Option<&Path>) -> Result<Exit> {
        let mut command = self.command(launch);
        command.arg("-bundle").arg(launch.bundle);
        if let Some(root) = runtime_root {
            command.arg("-runtime-root").arg(root);
        }
        command.arg("delete");
        let output = self.run(command, "delete", launch, CLEANUP).await?;
        let answer = DeleteResponse::decode(output.stdout.as_slice())
            .map_err(|e| fault("delete", "the shim's answer to delete cannot be read").because(&e))?;
        Ok(Exit { code: answer.exit_status, at: convert::time(answer.exited_at) })
    }

    fn command(&self, launch: Launch<'_>) -> Command {
        let mut command = Command::new(&self.binary);
        command.arg("-namespace").arg(launch.namespace).arg("-id").arg(launch.id);
        command.arg("-address").arg(&self.daemon_socket);
        if let Some(folder) = &self.socket_dir {
            command.arg("-socket-dir").arg(folder);
        }
        if self.debug {
            command.arg("-debug");
        }
        if let Some(events) = &self.events {
            // containerd's own reads no newer form of the answer than it is told of.
            command.env("TTRPC_ADDRESS", events).env("MAX_SHIM_VERSION", "3");
        }
        // The supervisor waits for the daemon, not for a shim that claims to be it.
        command.env_remove("NOTIFY_SOCKET");
        command.current_dir(launch.bundle).stdin(Stdio::null()).kill_on_drop(true);
        command
    }

    fn parameters(&self, launch: Launch<'_>) -> Option<Vec<u8>> {
        let text = |path: &Path| path.to_string_lossy().into_owned();
        if !self.parameters {
            return None;
        }
        let params = BootstrapParams {
            instance_id: launch.id.to_owned(),
            namespace: launch.namespace.to_owned(),
            containerd_ttrpc_address: text(self.events.as_ref()?),
            containerd_grpc_address: text(&self.daemon_socket),
            ..BootstrapParams::default()
        };
        Some(params.encode_to_vec())
    }

    async fn run(&self, command: Command, verb: &str, launch: Launch<'_>, deadline: Duration) -> Result<Output> {
        let name = self.binary.display();
        let output = tokio::time::timeout(deadline, feed(command, self.parameters(launch)))
            .await
            .map_err(|_| {
                let limit = deadline.as_secs();
                fault(verb, format!("{name} {verb} took longer than {limit} s")).kind(Kind::DeadlineExceeded)
            })?
            .map_err(|e| fault(verb, format!("cannot run {name}")).because(&e))?;
        if output.status.success() {
            return Ok(output);
        }
        let text = &output.stderr[..output.stderr.len().min(STDERR_LIMIT)];
        let text = String::from_utf8_lossy(text);
        // Our shim prints its fault as JSON on the last line.
        Err(text.lines().last().and_then(Fault::from_json).unwrap_or_else(|| {
            fault(verb, format!("{name} {verb} failed ({})", output.status)).why(text.trim().to_owned())
        }))
    }
}

/// Whether a shim reads [`BootstrapParams`], as those do that know the flag `-info` (containerd 2.0). Whether it can act on the flag
/// does not count: containerd's own looks for a runc then. Go's flag package ends with 2 for a flag that it does not know.
///
/// # Errors
/// It cannot be run or does not end.
pub async fn reads_parameters(shim: &Path) -> Result<bool> {
    let mut command = Command::new(shim);
    command.arg("-info").stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).kill_on_drop(true);
    let name = shim.display();
    let late = |_| fault("info", format!("{name} -info takes too long")).kind(Kind::DeadlineExceeded);
    let status = tokio::time::timeout(INFO, command.status()).await.map_err(late)?;
    let status = status.map_err(|e| fault("info", format!("cannot run {name}")).because(&e))?;
    Ok(status.code() != Some(USAGE))
}

/// Runs a program with `input` as its standard input.
async fn feed(mut command: Command, input: Option<Vec<u8>>) -> std::io::Result<Output> {
    let Some(input) = input else { return command.output().await };
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).stderr(Stdio::piped()).spawn()?;
    if let Some(mut stdin) = child.stdin.take() {
        match stdin.write_all(&input).await {
            // It does not read it.
            Err(error) if error.kind() != std::io::ErrorKind::BrokenPipe => return Err(error),
            _ => {}
        }
    }
    child.wait_with_output().await
}

/// Reads what `start` printed: a bare address (version 2 of the contract), JSON, or since containerd 2.3 a `BootstrapResult`.
fn parse_bootstrap(stdout: &[u8]) -> Result<(String, TaskVersion)> {
    let text = std::str::from_utf8(stdout).unwrap_or_default().trim();
    if stdout.is_empty() {
        return Err(fault("start", "the shim printed no address"));
    }
    if text.starts_with("unix://") || text.starts_with('/') {
        return Ok((text.to_owned(), TaskVersion::V2));
    }
    let unreadable = |error: &dyn std::error::Error| {
        fault("start", "the shim's answer to start cannot be read").why(error.to_string())
    };
    let answer = if text.starts_with('{') {
        serde_json::from_str::<Bootstrap>(text).map_err(|e| unreadable(&e))?
    } else {
        let BootstrapResult { version, address, protocol, .. } =
            BootstrapResult::decode(stdout).map_err(|e| unreadable(&e))?;
        Bootstrap { version: u32::try_from(version).unwrap_or(0), address, protocol }
    };
    if answer.protocol != "ttrpc" {
        return Err(fault("start", format!("the shim speaks {}, not ttrpc", answer.protocol)).kind(Kind::Unimplemented));
    }
    let version = if answer.version >= 3 { TaskVersion::V3 } else { TaskVersion::V2 };
    Ok((answer.address, version))
}

fn fault(phase: &str, what: impl Into<String>) -> Fault {
    Fault::new(Layer::Shim, phase, what)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_form_of_the_bootstrap_is_read() {
        let line = parse_bootstrap(b"unix:///run/s/1\n").expect("address");
        assert_eq!(line, ("unix:///run/s/1".into(), TaskVersion::V2));
        let json = parse_bootstrap(br#"{"version":3,"address":"unix:///run/s/1","protocol":"ttrpc"}"#).expect("json");
        assert_eq!(json, ("unix:///run/s/1".into(), TaskVersion::V3));
        let binary = BootstrapResult {
            version: 3,
            address: "unix:///run/s/1".into(),
            protocol: "ttrpc".into(),
            ..Default::default()
        };
        let binary = parse_bootstrap(&binary.encode_to_vec()).expect("protobuf");
        assert_eq!(binary, ("unix:///run/s/1".into(), TaskVersion::V3));
        parse_bootstrap(b"what").expect_err("none of them");
        let grpc = parse_bootstrap(br#"{"version":3,"address":"unix:///run/s/1","protocol":"grpc"}"#);
        assert_eq!(grpc.expect_err("unknown").class(), Kind::Unimplemented);
    }
}
