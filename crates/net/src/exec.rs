//! Runs one plugin: environment, stdin, bounded output, deadline. Its error object becomes the fault's cause.

use crate::{Entry, limits};
use plimsoll_fault::{Fault, Kind, Layer, Result};
use plimsoll_spec::cni::PluginError;
use std::path::{Path, PathBuf};
use std::process::{ExitStatus, Stdio};
use std::time::Duration;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::process::{Child, Command};

/// One call of one plugin.
pub(crate) struct Call<'a> {
    /// `ADD`, `DEL`, `CHECK`, `STATUS` or `GC`.
    pub(crate) verb: &'static str,
    pub(crate) kind: &'a str,
    pub(crate) bin_dirs: &'a [PathBuf],
    pub(crate) entry: &'a Entry,
    pub(crate) stdin: Vec<u8>,
    pub(crate) deadline: Duration,
}

/// Runs the plugin and returns what it printed. A failure names the plugin and carries its own message.
pub(crate) async fn run(call: Call<'_>) -> Result<Vec<u8>> {
    let program = find(call.kind, call.bin_dirs)?;
    let begun = std::time::Instant::now();
    let mut child = command(&call, &program)
        .spawn()
        .map_err(|e| fault(&call, format!("cannot start {}", program.display())).because(&e))?;
    let done = tokio::time::timeout(call.deadline, talk(&mut child, &call.stdin)).await;
    let took = begun.elapsed();
    tracing::debug!(plugin = call.kind, verb = call.verb, sandbox = %call.entry.sandbox, ?took, "CNI plugin done");
    match done {
        Ok(Ok((status, out, _))) if status.success() => Ok(out),
        Ok(Ok((status, out, err))) => Err(refusal(&call, status, &out, &err)),
        Ok(Err(e)) => Err(fault(&call, "the pipe to the plugin failed".into()).because(&e)),
        Err(_) => Err(expired(&call, &mut child).await),
    }
}

/// The first of `bin_dirs` that has the plugin. `kind` was checked to be a plain name when it was parsed.
pub(crate) fn find(kind: &str, bin_dirs: &[PathBuf]) -> Result<PathBuf> {
    let found = bin_dirs.iter().map(|dir| dir.join(kind)).find(|path| path.is_file());
    found.ok_or_else(|| {
        let dirs: Vec<_> = bin_dirs.iter().map(|d| d.display().to_string()).collect();
        Fault::new(Layer::Network, "cni", format!("CNI plugin {kind:?} is not in {}", dirs.join(", ")))
            .kind(Kind::FailedPrecondition)
    })
}

fn command(call: &Call<'_>, program: &Path) -> Command {
    let paths = std::env::join_paths(call.bin_dirs).unwrap_or_default();
    let args: Vec<String> = call.entry.args.iter().map(|(k, v)| format!("{k}={v}")).collect();
    let mut command = Command::new(program);
    command
        .env_clear()
        .env("PATH", "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin")
        .env("CNI_COMMAND", call.verb)
        .env("CNI_CONTAINERID", &call.entry.sandbox)
        .env("CNI_NETNS", &call.entry.netns)
        .env("CNI_IFNAME", &call.entry.interface)
        .env("CNI_ARGS", args.join(";"))
        .env("CNI_PATH", paths)
        .current_dir("/")
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .kill_on_drop(true);
    command
}

/// Feeds stdin and reads both outputs at once, so that no pipe can fill up and block the other side.
async fn talk(child: &mut Child, stdin: &[u8]) -> std::io::Result<(ExitStatus, Vec<u8>, Vec<u8>)> {
    let (mut input, output, errors) = (child.stdin.take(), child.stdout.take(), child.stderr.take());
    let feed = async {
        if let Some(mut pipe) = input.take() {
            match pipe.write_all(stdin).await {
                // A plugin may exit before it has read everything; its exit status tells the story.
                Err(e) if e.kind() != std::io::ErrorKind::BrokenPipe => return Err(e),
                _ => {}
            }
        }
        Ok(())
    };
    let (fed, out, err) = tokio::join!(feed, read(output, limits::STDOUT), read(errors, limits::STDERR));
    fed?;
    Ok((child.wait().await?, out?, err?))
}

/// Keeps the first `limit` bytes and reads on to the end.
async fn read(pipe: Option<impl tokio::io::AsyncRead + Unpin>, limit: u64) -> std::io::Result<Vec<u8>> {
    let mut kept = Vec::new();
    if let Some(mut pipe) = pipe {
        (&mut pipe).take(limit).read_to_end(&mut kept).await?;
        tokio::io::copy(&mut pipe, &mut tokio::io::sink()).await?;
    }
    Ok(kept)
}

async fn expired(call: &Call<'_>, child: &mut Child) -> Fault {
    let fault = fault(call, format!("no answer within {} s; it was killed", call.deadline.as_secs_f32()));
    let fault = fault.kind(Kind::DeadlineExceeded);
    match child.kill().await {
        Ok(()) => fault,
        Err(e) => fault.because(&e),
    }
}

/// A plugin's own error object (CNI 1.1 section 5), else its exit status and the end of its stderr.
fn refusal(call: &Call<'_>, status: ExitStatus, out: &[u8], err: &[u8]) -> Fault {
    let fault = fault(call, format!("failed with {status}"));
    match serde_json::from_slice::<PluginError>(out) {
        Ok(error) if !error.msg.is_empty() => {
            let text = if error.details.is_empty() { error.msg } else { format!("{}: {}", error.msg, error.details) };
            // 11 is "try again later".
            let fault = if error.code == 11 { fault.kind(Kind::Unavailable) } else { fault };
            fault.why(format!("{text} (CNI code {})", error.code))
        }
        _ => fault.why(tail(if err.is_empty() { out } else { err })),
    }
}

fn tail(text: &[u8]) -> String {
    let text = String::from_utf8_lossy(text);
    let line = text.lines().rev().find(|line| !line.trim().is_empty()).unwrap_or("it printed nothing");
    line.chars().take(512).collect()
}

fn fault(call: &Call<'_>, what: String) -> Fault {
    let plugin = format!("CNI plugin {:?} {} for network {:?}: {what}", call.kind, call.verb, call.entry.network);
    Fault::new(Layer::Network, format!("cni-{}", call.verb.to_ascii_lowercase()), plugin).in_pod(&call.entry.sandbox)
}
